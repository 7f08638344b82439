//! The serial console, with a pseudo terminal in the board's place.
use axiom_rpi5::console::{End, Session, choose};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::FromRawFd;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

/// The board's side, and the port that the console opens.
fn board() -> (File, PathBuf) {
    // SAFETY: the calls take flags and a descriptor that was just made and is checked; ptsname_r writes within the buffer.
    unsafe {
        let board = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY);
        assert!(board >= 0 && libc::grantpt(board) == 0 && libc::unlockpt(board) == 0);
        let mut name = [0 as libc::c_char; 64];
        assert_eq!(libc::ptsname_r(board, name.as_mut_ptr(), name.len()), 0);
        let path = std::ffi::CStr::from_ptr(name.as_ptr()).to_str().unwrap().into();
        (File::from_raw_fd(board), path)
    }
}

/// Keys that come one by one, and then no more.
struct Keys(mpsc::Receiver<u8>);

impl Read for Keys {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.0.recv().map_or(0, |key| {
            buffer[0] = key;
            1
        }))
    }
}

fn session(port: PathBuf, folder: &tempfile::TempDir, until_verdict: bool) -> Session {
    let log = folder.path().join("logs/rpi5.log");
    Session { port, log, until_verdict, patience: Some(Duration::from_secs(20)), colours: false }
}

#[test]
fn what_the_board_says_is_logged_up_to_the_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let (mut board, port) = board();
    let session = session(port, &folder, true);
    let text = "axiom: Cortex-A76\r\naxiom: run ended: FAILED: no sensor\r\n";
    let writer = std::thread::spawn(move || {
        // The port must be open, or its settings would change what is in flight.
        std::thread::sleep(Duration::from_millis(300));
        board.write_all(text.as_bytes()).unwrap();
        board
    });
    let mut shown = Vec::new();
    let end = session.run(io::empty(), &mut shown).unwrap();
    drop(writer.join().unwrap());
    assert_eq!(end, End::Verdict("FAILED: no sensor".into()));
    let text = text.replace('\r', "");
    assert_eq!(String::from_utf8(shown).unwrap(), text);
    assert_eq!(std::fs::read_to_string(&session.log).unwrap(), text);
}

#[test]
fn keys_reach_the_board_and_ctrl_a_x_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let (mut board, port) = board();
    let session = session(port, &folder, false);
    let (press, keys) = mpsc::channel();
    let running = std::thread::spawn(move || session.run(Keys(keys), io::sink()));
    std::thread::sleep(Duration::from_millis(300));
    for key in b"hi\x01\x01" {
        press.send(*key).unwrap();
    }
    let mut got = [0; 3];
    board.read_exact(&mut got).unwrap();
    // Ctrl-A twice is one Ctrl-A for the board.
    assert_eq!(&got, b"hi\x01");
    press.send(1).unwrap();
    press.send(b'x').unwrap();
    assert_eq!(running.join().unwrap(), Ok(End::Left));
}

#[test]
fn ports_are_found_or_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let dev = folder.path();
    assert!(choose(None, dev).unwrap_err().starts_with("no serial adapter is plugged in"));
    std::fs::write(dev.join("ttyUSB0"), "").unwrap();
    assert_eq!(choose(None, dev).unwrap(), dev.join("ttyUSB0"));
    std::fs::write(dev.join("ttyACM0"), "").unwrap();
    assert!(choose(None, dev).unwrap_err().starts_with("several serial ports: name one of"));
    assert_eq!(choose(Some("ttyACM0"), dev).unwrap(), dev.join("ttyACM0"));
    assert!(choose(Some("ttyS9"), dev).unwrap_err().starts_with("there is no serial port"));
}

#[test]
fn a_silent_board_ends_the_session() {
    let folder = tempfile::tempdir().unwrap();
    let (_board, port) = board();
    let session = Session { patience: Some(Duration::from_millis(300)), ..session(port, &folder, true) };
    assert_eq!(session.run(io::empty(), io::sink()), Ok(End::Silence));
}
