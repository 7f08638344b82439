//! The serial console: what the board says goes to the terminal and to a log; what is typed goes to the board.
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the debug connector speaks, 8 data bits, no parity, one stop bit.
pub const BAUD: u32 = 115_200;
/// The line that ends a run begins so.
pub const VERDICT: &str = "axiom: run ended: ";
/// Ctrl-A, then x: the way out, as in QEMU.
const ESCAPE: u8 = 1;

/// Serial adapters that are plugged in.
pub fn adapters(dev: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dev).into_iter().flatten().flatten();
    let names = entries.filter_map(|e| e.file_name().into_string().ok());
    let mut found: Vec<PathBuf> =
        names.filter(|n| n.starts_with("ttyUSB") || n.starts_with("ttyACM")).map(|n| dev.join(n)).collect();
    found.sort();
    found
}

/// The port that was named, or the only one there is.
pub fn choose(named: Option<&str>, dev: &Path) -> Result<PathBuf, String> {
    if let Some(name) = named {
        let path = if name.contains('/') { name.into() } else { dev.join(name) };
        return if path.exists() {
            Ok(path)
        } else {
            Err(format!("there is no serial port {}", path.display()))
        };
    }
    match adapters(dev).as_slice() {
        [] => Err("no serial adapter is plugged in (no ttyUSB or ttyACM); name the port: `just console-rpi5 /dev/NAME`".into()),
        [one] => Ok(one.clone()),
        several => {
            let list: Vec<String> = several.iter().map(|p| p.display().to_string()).collect();
            Err(format!("several serial ports: name one of {}", list.join(", ")))
        }
    }
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The board said how its run ended.
    Verdict(String),
    /// The user left.
    Left,
    /// Nothing came for that long.
    Silence,
}

/// What a session does.
pub struct Session {
    /// The port.
    pub port: PathBuf,
    /// Where the log goes.
    pub log: PathBuf,
    /// Ends with the run's verdict.
    pub until_verdict: bool,
    /// Ends when nothing comes for that long.
    pub patience: Option<Duration>,
    /// With colours.
    pub colours: bool,
}

impl Session {
    /// Runs it: `typed` is what goes to the board, `shown` the terminal.
    pub fn run(&self, typed: impl Read + Send + 'static, mut shown: impl Write) -> Result<End, String> {
        let mut port = serial2::SerialPort::open(&self.port, BAUD).map_err(|e| match e.kind() {
            io::ErrorKind::PermissionDenied => {
                format!(
                    "{}: {e}; serial ports belong to the group dialout: join it, or use sudo",
                    self.port.display()
                )
            }
            _ => format!("{}: cannot be opened as a serial port: {e}", self.port.display()),
        })?;
        port.set_read_timeout(Duration::from_millis(100)).map_err(|e| format!("serial port: {e}"))?;
        if let Some(folder) = self.log.parent() {
            std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        }
        let mut log = std::fs::File::create(&self.log).map_err(|e| format!("{}: {e}", self.log.display()))?;
        let port = Arc::new(port);
        let left = forward(typed, port.clone());
        let mut verdict = None;
        let (mut lines, mut show) =
            (axiom_terminal::Lines::default(), axiom_terminal::Show::new(self.colours, None));
        let mut buffer = [0; 4096];
        let mut heard = Instant::now();
        loop {
            let bytes = match port.read(&mut buffer) {
                Ok(n) => &buffer[..n],
                Err(e) if matches!(e.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => {
                    &buffer[..0]
                }
                Err(e) => return Err(format!("{}: the port went away: {e}", self.port.display())),
            };
            if bytes.is_empty() {
                if let Some(verdict) = verdict {
                    return Ok(End::Verdict(verdict));
                }
                if left.try_recv().is_ok() {
                    return Ok(End::Left);
                }
                if self.patience.is_some_and(|p| heard.elapsed() > p) {
                    return Ok(End::Silence);
                }
                continue;
            }
            heard = Instant::now();
            for line in lines.feed(bytes) {
                writeln!(log, "{line}").map_err(|e| format!("{}: {e}", self.log.display()))?;
                if let Some(text) = show.line(&line) {
                    shown
                        .write_all(text.as_bytes())
                        .and_then(|()| shown.flush())
                        .map_err(|e| format!("terminal: {e}"))?;
                }
                if let Some(at) = line.find(VERDICT).filter(|_| self.until_verdict) {
                    verdict = Some(line[at + VERDICT.len()..].trim().to_owned());
                }
            }
        }
    }
}

/// Sends what is typed until Ctrl-A x; then the receiver gets word. The end of the input alone ends nothing.
fn forward(
    mut typed: impl Read + Send + 'static,
    port: Arc<serial2::SerialPort>,
) -> std::sync::mpsc::Receiver<()> {
    let (send, left) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut byte = [0];
        let mut escaped = false;
        while let Ok(1) = typed.read(&mut byte) {
            match (escaped, byte[0]) {
                (true, b'x') => {
                    // The session may have ended by itself.
                    let _ = send.send(());
                    return;
                }
                (false, ESCAPE) => escaped = true,
                _ => {
                    escaped = false;
                    // A port that went away is noticed where it is read.
                    let _ = port.write_all(&byte);
                }
            }
        }
    });
    left
}

/// The terminal, passing every key on at once; as it was when this value goes away.
pub struct RawTerminal(Option<libc::termios>);

impl RawTerminal {
    /// Changes standard input, if it is a terminal.
    pub fn enter() -> Self {
        // SAFETY: termios is plain data, which tcgetattr fills; it fails if standard input is no terminal.
        let mut settings: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        if unsafe { libc::tcgetattr(0, &mut settings) } != 0 {
            return Self(None);
        }
        let before = settings;
        settings.c_lflag &= !(libc::ICANON | libc::ECHO);
        settings.c_iflag &= !libc::ICRNL;
        settings.c_cc[libc::VMIN] = 1;
        settings.c_cc[libc::VTIME] = 0;
        // SAFETY: settings came from tcgetattr on this terminal.
        unsafe { libc::tcsetattr(0, libc::TCSANOW, &settings) };
        Self(Some(before))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // SAFETY: the settings came from tcgetattr on this terminal.
            unsafe { libc::tcsetattr(0, libc::TCSANOW, before) };
        }
    }
}
