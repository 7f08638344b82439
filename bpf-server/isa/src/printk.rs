//! Formats of `bpf_printk`: one reading of them, for the verifier and for whoever prints.
//!
//! `%d %i %u %x %X %c %p`, with `hh h l ll`, the flags `0 - +` and space, and a width; `%%`. Anything else, `%s` too, is
//! refused: the program cannot print memory, and an address is printed as the number that it is only by mistake.

/// Longest format that is read.
pub const MAX_FORMAT: usize = 256;

/// One piece of a format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Piece<'a> {
    /// As it stands.
    Text(&'a str),
    /// A number.
    Value(Conversion),
}

/// How a number is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Conversion {
    /// `d` (also for `i`), `u`, `x`, `X`, `c` or `p`.
    pub kind: char,
    /// Bits of the number that count: 8, 16, 32 or 64.
    pub bits: u8,
    /// Filled up with zeros.
    pub zeros: bool,
    /// To the left of its width.
    pub left: bool,
    /// A sign in front of numbers that are not negative.
    pub plus: Option<char>,
    /// Characters at least.
    pub width: usize,
}

/// A format that is not one of these.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unknown;

/// The pieces of a format, up to its terminating zero; ends behind the first [`Unknown`].
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    rest: &'a str,
    unknown: bool,
}

impl<'a> Pieces<'a> {
    /// Reads a format, which ends at a zero or at [`MAX_FORMAT`] bytes.
    pub fn new(bytes: &'a [u8]) -> Pieces<'a> {
        let bytes = &bytes[..bytes.len().min(MAX_FORMAT)];
        let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
        match core::str::from_utf8(&bytes[..end]) {
            Ok(rest) => Pieces { rest, unknown: false },
            Err(_) => Pieces { rest: "", unknown: true },
        }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Result<Piece<'a>, Unknown>;

    fn next(&mut self) -> Option<Self::Item> {
        if core::mem::take(&mut self.unknown) {
            return Some(Err(Unknown));
        }
        let first = self.rest.chars().next()?;
        if first != '%' {
            let (text, rest) = self.rest.split_at(self.rest.find('%').unwrap_or(self.rest.len()));
            self.rest = rest;
            return Some(Ok(Piece::Text(text)));
        }
        let behind = &self.rest[1..];
        if behind.starts_with('%') {
            let (text, rest) = behind.split_at(1);
            self.rest = rest;
            return Some(Ok(Piece::Text(text)));
        }
        let (piece, rest) = conversion(behind);
        self.rest = rest;
        Some(piece.map(Piece::Value))
    }
}

/// Reads a conversion behind its `%`; and what follows it.
fn conversion(text: &str) -> (Result<Conversion, Unknown>, &str) {
    let mut c = Conversion { kind: ' ', bits: 32, zeros: false, left: false, plus: None, width: 0 };
    let mut rest = text;
    while let Some(flag) = rest.chars().next().filter(|f| "0-+ ".contains(*f)) {
        match flag {
            '0' => c.zeros = true,
            '-' => c.left = true,
            '+' => c.plus = Some('+'),
            _ => c.plus = c.plus.or(Some(' ')),
        }
        rest = &rest[1..];
    }
    let digits = rest.find(|d: char| !d.is_ascii_digit()).unwrap_or(rest.len());
    c.width = match rest[..digits].parse() {
        Ok(width) if width <= MAX_FORMAT => width,
        _ if digits == 0 => 0,
        _ => return (Err(Unknown), ""),
    };
    rest = &rest[digits..];
    for (length, bits) in [("hh", 8), ("h", 16), ("ll", 64), ("l", 64)] {
        if let Some(behind) = rest.strip_prefix(length) {
            (c.bits, rest) = (bits, behind);
            break;
        }
    }
    c.kind = match rest.chars().next() {
        Some('d' | 'i') => 'd',
        Some(kind @ ('u' | 'x' | 'X' | 'c' | 'p')) => kind,
        _ => return (Err(Unknown), ""),
    };
    match c.kind {
        'p' => c.bits = 64,
        'c' => c.bits = 8,
        _ => {}
    }
    (Ok(c), &rest[1..])
}

/// How many numbers a format prints.
pub fn values(format: &[u8]) -> Result<usize, Unknown> {
    Pieces::new(format).try_fold(0, |n, piece| piece.map(|p| n + usize::from(matches!(p, Piece::Value(_)))))
}

/// Writes a format with its numbers; those that are missing are 0.
pub fn write(
    out: &mut impl core::fmt::Write,
    format: &[u8],
    mut value: impl FnMut(usize) -> u64,
) -> Result<(), Unknown> {
    values(format)?;
    let mut n = 0;
    for piece in Pieces::new(format) {
        // What does not fit is cut by `out`: a message of the program's author, not data.
        let _ = match piece? {
            Piece::Text(text) => out.write_str(text),
            Piece::Value(c) => {
                n += 1;
                number(out, c, value(n - 1))
            }
        };
    }
    Ok(())
}

fn number(out: &mut impl core::fmt::Write, c: Conversion, value: u64) -> core::fmt::Result {
    let up = 64 - u32::from(c.bits);
    let (plain, signed) = (value << up >> up, (value << up) as i64 >> up);
    let mut digits = [0u8; 24];
    let mut at = digits.len();
    let mut push = |b: u8| {
        at -= 1;
        digits[at] = b;
    };
    let mut sign = None;
    match c.kind {
        'c' => push(if plain == 0 || plain > 127 { b'?' } else { plain as u8 }),
        kind => {
            let base = if matches!(kind, 'd' | 'u') { 10 } else { 16 };
            let mut left = if kind == 'd' { signed.unsigned_abs() } else { plain };
            loop {
                let digit = (left % base) as u8;
                push(match (digit, kind) {
                    (0..=9, _) => b'0' + digit,
                    (_, 'X') => b'A' + digit - 10,
                    _ => b'a' + digit - 10,
                });
                left /= base;
                if left == 0 {
                    break;
                }
            }
            if kind == 'd' {
                sign = if signed < 0 { Some('-') } else { c.plus };
            }
            if kind == 'p' {
                push(b'x');
                push(b'0');
            }
        }
    }
    let text = core::str::from_utf8(&digits[at..]).unwrap_or("?");
    let fill = c.width.saturating_sub(text.len() + usize::from(sign.is_some()));
    let zeros = c.zeros && !c.left && c.kind != 'c';
    if !zeros && !c.left {
        for _ in 0..fill {
            out.write_char(' ')?;
        }
    }
    if let Some(sign) = sign {
        out.write_char(sign)?;
    }
    if zeros {
        for _ in 0..fill {
            out.write_char('0')?;
        }
    }
    out.write_str(text)?;
    if c.left {
        for _ in 0..fill {
            out.write_char(' ')?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;

    fn text(format: &str, numbers: &[u64]) -> Result<String, Unknown> {
        let mut out = String::new();
        write(&mut out, format.as_bytes(), |n| numbers.get(n).copied().unwrap_or(0)).map(|()| out)
    }

    #[test]
    fn prints_as_c_does() {
        for (format, number, expected) in [
            ("%d", -5i64 as u64, "-5"),
            ("%i", 0xffff_ffff_0000_0007, "7"),
            ("%u", u64::MAX, "4294967295"),
            ("%x", 0xabc, "abc"),
            ("%X", 0xabc, "ABC"),
            ("%llu", u64::MAX, "18446744073709551615"),
            ("%lld", i64::MIN as u64, "-9223372036854775808"),
            ("%ld", -1i64 as u64, "-1"),
            ("%hd", 0xffff, "-1"),
            ("%hhu", 0x1ff, "255"),
            ("%p", 16, "0x10"),
            ("%c", 65, "A"),
            ("%c", 10, "\n"),
            ("%c", 0, "?"),
            ("%c", 200, "?"),
            ("%5d|", 42, "   42|"),
            ("%-5d|", 42, "42   |"),
            ("%05d", -42i64 as u64, "-0042"),
            ("%08llx", 0xbeef, "0000beef"),
            ("%+d", 3, "+3"),
            ("% d", 3, " 3"),
            ("%+d", -3i64 as u64, "-3"),
            ("%2d", 12345, "12345"),
            ("%d", 0, "0"),
            ("100%% of %d", 7, "100% of 7"),
            ("ends here\0%s", 7, "ends here"),
            ("", 7, ""),
        ] {
            assert_eq!(text(format, &[number]).as_deref(), Ok(expected), "{format}");
        }
        assert_eq!(text("a %d b %u c %x", &[1, 2, 3]).as_deref(), Ok("a 1 b 2 c 3"));
    }

    #[test]
    fn what_is_not_known_is_refused_whole() {
        for format in ["%s", "a %d %q", "%", "%l", "%5", "%.2f", "%llc%n", "%1000d", "%hhhd", "%lll"] {
            assert_eq!(values(format.as_bytes()), Err(Unknown), "{format}");
            assert_eq!(text(format, &[1, 2, 3]), Err(Unknown), "{format}");
        }
        assert_eq!(values(&[b'a', 0xff, 0]), Err(Unknown));
        assert_eq!(values(b"%d %% %llx %c\0%d"), Ok(3));
        // A format without an end is read to its limit.
        assert_eq!(values(&[b'a'; 1000]), Ok(0));
    }
}
