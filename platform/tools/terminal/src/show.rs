//! What a terminal shows of a line.
use axiom_bench_metrics::{BEGIN, END, said, trace};

/// The widest line.
pub const COLUMNS: usize = 100;

/// Reads lines of the console in order.
#[derive(Debug)]
pub struct Show {
    colours: bool,
    /// What the verdict's line ends with, which only the runner needs to see.
    token: Option<String>,
    /// The line that ends what is for tools.
    hidden: Option<&'static str>,
}

impl Show {
    /// With colours or without; `token` is left out of the verdict.
    pub fn new(colours: bool, token: Option<&str>) -> Show {
        Show { colours, token: token.map(|t| format!(" ({t})")), hidden: None }
    }

    /// The line as it is shown, with its end; `None` if it is not.
    pub fn line(&mut self, line: &str) -> Option<String> {
        let text = said(line.trim_end());
        if let Some(end) = self.hidden {
            if text != end {
                return None;
            }
            self.hidden = None;
            return Some(self.painted("bench: the same figures for tools, as lines of JSON, are in the log"));
        }
        match text {
            BEGIN => self.hidden = Some(END),
            trace::BEGIN => self.hidden = Some(trace::END),
            _ => {
                let text = line.trim_end();
                let text = self.token.as_ref().and_then(|t| text.strip_suffix(t.as_str())).unwrap_or(text);
                return Some(self.painted(&without_controls(text)));
            }
        }
        None
    }

    fn painted(&self, line: &str) -> String {
        // A server's empty line separates, and needs no name.
        let line = if name(line).is_some_and(|n| n.len() + 1 == line.len()) { "" } else { line };
        let mut out = String::new();
        for part in wrapped(line, COLUMNS) {
            if self.colours {
                paint(&mut out, &part);
            } else {
                out += &part;
            }
            out.push('\n');
        }
        out
    }
}

/// The line without control characters and the sequences that begin with ESC: a PC's firmware clears the screen with them and switches the
/// wrapping of lines off, and nobody would switch it on again.
fn without_controls(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' => {
                if rest.next() == Some('[') {
                    // Numbers and signs, up to the letter that says what to do.
                    rest.find(|c| matches!(c, '@'..='~'));
                }
            }
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// The server's name before the colon.
fn name(line: &str) -> Option<&str> {
    let (name, _) = line.split_once(':')?;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (!name.is_empty() && name.chars().all(fits)).then_some(name)
}

const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const DIM: &str = "\x1b[2m";
const OFF: &str = "\x1b[0m";

fn paint(out: &mut String, line: &str) {
    let Some((name, rest)) = name(line).map(|n| line.split_at(n.len() + 1)) else {
        return out.push_str(line);
    };
    let colour =
        if rest.starts_with(" ERROR:") || rest.contains("FAILED") || line.starts_with("axiom: KERNEL") {
            RED
        } else if rest.starts_with(" warning:") {
            YELLOW
        } else if line == "axiom: run ended: ok" {
            GREEN
        } else {
            ""
        };
    let end = if colour.is_empty() { "" } else { OFF };
    out.push_str(&format!("{DIM}{name}{OFF}{colour}{rest}{end}"));
}

/// The line in pieces of at most so many columns, broken at spaces; what continues it stands below its text.
fn wrapped(line: &str, columns: usize) -> Vec<String> {
    below(line, columns, &hang(line))
}

/// The line in pieces of at most so many columns, broken at spaces; the others begin with `hang`, if that leaves room.
pub fn below(line: &str, columns: usize, hang: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest: Vec<char> = line.chars().collect();
    let hang = if hang.len() * 2 < columns { hang } else { "" };
    while rest.len() > columns {
        let least = if out.is_empty() { hang.len() } else { hang.len() + 1 };
        let space = (least + 1..=columns).rev().find(|at| rest[*at] == ' ').unwrap_or(columns);
        let next = rest.split_off(space);
        out.push(rest.iter().collect::<String>().trim_end().to_owned());
        rest = hang.chars().chain(next.into_iter().skip_while(|c| *c == ' ')).collect();
    }
    out.push(rest.into_iter().collect());
    out
}

/// What stands before a line's continuation: the server's name, its indentation, and room for a label: `demo:   |             `.
fn hang(line: &str) -> String {
    let start = name(line).map_or(0, |n| n.len() + 1);
    let (mut out, text) = (line[..start].to_owned(), &line[start..]);
    let inner = text.trim_start_matches([' ', '|']);
    out += &text[..text.len() - inner.len()];
    let label = inner
        .split_once(':')
        .map(|(label, after)| (label, after.len() - after.trim_start_matches(' ').len()));
    if let Some((label, spaces)) = label
        && !label.contains(' ')
        && spaces > 0
        && out.contains('|')
    {
        out += &" ".repeat(label.len() + 1 + spaces);
    } else {
        out += "  ";
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(lines: &[&str]) -> String {
        let mut show = Show::new(false, Some("5eed"));
        lines.iter().filter_map(|l| show.line(l)).collect()
    }

    #[test]
    fn what_is_for_tools_stays_in_the_log() {
        let text = shown(&[
            "demo: before",
            "bench: -----BEGIN AXIOM REPORT-----",
            "bench: {\"metric\":\"a\"}",
            "bench: {\"metrics\":1}",
            "bench: -----END AXIOM REPORT-----",
            "bench: ",
            "bench: Axiom benchmark report",
            "bench: -----BEGIN AXIOM TRACE-----",
            "bench: [1,2,3,4]",
            "bench: -----END AXIOM TRACE-----",
            "axiom: run ended: ok (5eed)",
        ]);
        assert_eq!(
            text,
            "demo: before\nbench: the same figures for tools, as lines of JSON, are in the log\n\nbench: Axiom benchmark report\n\
             bench: the same figures for tools, as lines of JSON, are in the log\naxiom: run ended: ok\n"
        );
    }

    #[test]
    fn nobody_but_the_benchmark_server_hides_lines() {
        let text =
            shown(&["x: -----BEGIN AXIOM REPORT-----", "x: still here", "axiom: run ended: ok (feed)"]);
        assert_eq!(text, "x: -----BEGIN AXIOM REPORT-----\nx: still here\naxiom: run ended: ok (feed)\n");
    }

    #[test]
    fn nothing_on_the_console_commands_the_terminal() {
        assert_eq!(shown(&["\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS (version 1.16)"]), "SeaBIOS (version 1.16)\n");
        assert_eq!(shown(&["a\x07b\u{9b}2Jc\x1b", "\x1b[12;"]), "ab2Jc\n\n");
    }

    #[test]
    fn long_lines_break_at_words_below_their_text() {
        let line = "demo:   | Reason:     reads 4 bytes at an offset between -8589934592 and 8589934588 of a value of map 'histograms', which has 64 bytes";
        assert_eq!(
            shown(&[line]),
            "demo:   | Reason:     reads 4 bytes at an offset between -8589934592 and 8589934588 of a value of\n\
             demo:   |             map 'histograms', which has 64 bytes\n"
        );
        let words = format!("init: {}", "word ".repeat(40));
        assert!(
            shown(&[&words]).lines().skip(1).all(|l| l.starts_with("init:   word")),
            "{}",
            shown(&[&words])
        );
    }

    #[test]
    fn colours_come_where_they_are_wanted() {
        let mut show = Show::new(true, None);
        let ok = format!("{DIM}axiom:{OFF}{GREEN} run ended: ok{OFF}\n");
        assert_eq!(show.line("axiom: run ended: ok"), Some(ok));
        assert!(!shown(&["x: ERROR: no"]).contains('\x1b'));
        assert!(show.line("x: ERROR: no").unwrap().contains(RED));
    }

    proptest! {
        #[test]
        fn no_line_is_wider_and_no_word_is_lost(line in "[a-z|: ]{0,400}") {
            for part in wrapped(&line, COLUMNS) {
                prop_assert!(part.chars().count() <= COLUMNS);
            }
            let letters = |t: &str| t.chars().filter(char::is_ascii_lowercase).count();
            let first = hang(&line).chars().filter(char::is_ascii_lowercase).count();
            let parts = wrapped(&line, COLUMNS);
            let again = if hang(&line).len() * 2 < COLUMNS { (parts.len() - 1) * first } else { 0 };
            prop_assert_eq!(letters(&parts.concat()), letters(&line) + again);
        }
    }
}
