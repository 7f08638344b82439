//! Bytes of a serial port as whole lines.

/// Longest line that is waited for: whoever never ends one is shown all the same.
const LONGEST: usize = 16_384;
/// How the lines begin that may stand in the middle of another.
const ABOVE: &[u8] = b"init: ";

/// Collects bytes.
#[derive(Debug, Default)]
pub struct Lines {
    /// The line so far.
    part: Vec<u8>,
    /// What came after a carriage return in its middle.
    inserted: Option<Vec<u8>>,
    returned: bool,
}

impl Lines {
    /// Takes bytes; gives the lines that they end, without their ends.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut out = Vec::new();
        for byte in bytes {
            match byte {
                b'\r' => self.returned = true,
                b'\n' => out.push(self.end()),
                byte => {
                    if std::mem::take(&mut self.returned) && !self.part.is_empty() {
                        // A second one in the same line is no line of init's.
                        if let Some(text) = self.inserted.take() {
                            self.part.extend(text);
                        }
                        self.inserted = Some(Vec::new());
                    }
                    let place = self.inserted.as_mut().unwrap_or(&mut self.part);
                    place.push(*byte);
                    if place.len() >= LONGEST {
                        out.push(self.end());
                    }
                }
            }
        }
        out
    }

    fn end(&mut self) -> String {
        self.returned = false;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        match self.inserted.take() {
            // The line that it stood in goes on.
            Some(whole) if whole.starts_with(ABOVE) => text(whole),
            Some(rest) => {
                self.part.extend(rest);
                text(std::mem::take(&mut self.part))
            }
            None => text(std::mem::take(&mut self.part)),
        }
    }

    /// What is left when nothing more comes.
    pub fn finish(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        while self.inserted.is_some() || !self.part.is_empty() {
            out.push(self.end());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &str, piece: usize) -> Vec<String> {
        let mut lines = Lines::default();
        let mut out: Vec<String> = text.as_bytes().chunks(piece).flat_map(|p| lines.feed(p)).collect();
        out.extend(lines.finish());
        out
    }

    #[test]
    fn a_line_of_inits_in_anothers_middle_cuts_neither() {
        let text = "iio-server: adxl3\rinit: all servers are ready\r\n45: found\r\ndemo: x\r\n";
        for piece in 1..text.len() {
            let expected = ["init: all servers are ready", "iio-server: adxl345: found", "demo: x"];
            assert_eq!(all(text, piece), expected);
        }
    }

    #[test]
    fn several_of_inits_lines_may_come_in_one() {
        let text = "demo: a\rinit: one\r\n\rinit: two\r\nb\r\n\rinit: three\r\n";
        assert_eq!(all(text, 1), ["init: one", "init: two", "demo: ab", "init: three"]);
    }

    #[test]
    fn other_carriage_returns_are_dropped() {
        assert_eq!(all("50 %\r100 %\r\n\r\r\nx\n\ry\n", 2), ["50 %100 %", "", "x", "y"]);
        assert_eq!(all("a\rb\rinit: c\nd\n", 3), ["init: c", "abd"]);
    }

    #[test]
    fn the_end_and_a_line_without_one_are_shown() {
        assert_eq!(all("ready> ", 3), ["ready> "]);
        assert_eq!(all("half\rinit: half", 3), ["init: half", "half"]);
        assert_eq!(
            all(&"x".repeat(LONGEST + 1), 4096).iter().map(String::len).collect::<Vec<_>>(),
            [LONGEST, 1]
        );
    }

    proptest! {
        #[test]
        fn nothing_is_lost_but_carriage_returns(text in "[a-c\r\n]{0,60}", piece in 1usize..9) {
            let kept = |t: &str| { let mut v: Vec<char> = t.chars().filter(|c| !"\r\n".contains(*c)).collect(); v.sort_unstable(); v };
            let lines = all(&text, piece);
            prop_assert_eq!(kept(&lines.concat()), kept(&text));
            prop_assert!(lines.iter().all(|l| !l.contains('\r')));
        }
    }
}
