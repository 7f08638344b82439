//! The console's two readers: the log, which has every line, and the terminal, which has what people read.
use crate::options::Options;
use axiom_terminal::{Lines, Show, colours_wanted};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Lines of a quiet run that are shown when it fails.
const TAIL: usize = 60;

/// Where the console's lines go.
pub struct Console {
    lines: Lines,
    log: File,
    show: Option<Show>,
    /// Bytes go to the terminal as they come.
    raw: bool,
    /// The benchmark printed its report.
    pub has_report: bool,
}

impl Console {
    /// Begins the log.
    pub fn new(o: &Options, log: &Path) -> std::io::Result<Console> {
        let show = (!o.quiet && !o.raw).then(|| Show::new(colours_wanted(), o.token.as_deref()));
        Ok(Console {
            lines: Lines::default(),
            log: File::create(log)?,
            show,
            raw: o.raw && !o.quiet,
            has_report: false,
        })
    }

    /// Takes bytes; gives the lines that they end.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        if self.raw {
            print(bytes);
        }
        let lines = self.lines.feed(bytes);
        lines.iter().for_each(|line| self.write(line));
        lines
    }

    /// What was left of a line when nothing more came.
    pub fn finish(&mut self) -> Vec<String> {
        let lines = self.lines.finish();
        lines.iter().for_each(|line| self.write(line));
        lines
    }

    /// A line of the runner's own.
    pub fn add(&mut self, line: &str) {
        if self.raw {
            print(format!("{line}\n").as_bytes());
        }
        self.write(line);
    }

    fn write(&mut self, line: &str) {
        self.has_report |= axiom_bench_metrics::said(line) == axiom_bench_metrics::END;
        // A full disk must not end the run.
        let _ = writeln!(self.log, "{line}");
        if let Some(text) = self.show.as_mut().and_then(|show| show.line(line)) {
            print(text.as_bytes());
        }
    }

    /// The end of a quiet run's log, on standard error.
    pub fn tail(&self, log: &Path) {
        let said = std::fs::read(log).unwrap_or_default();
        let mut show = Show::new(false, None);
        let text = String::from_utf8_lossy(&said);
        let shown: Vec<String> = text.lines().filter_map(|line| show.line(line)).collect();
        eprint!("{}", shown[shown.len().saturating_sub(TAIL)..].concat());
    }
}

/// On the terminal; nobody may be there to read it any more, which must not end the run either.
fn print(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}
