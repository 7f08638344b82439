//! What is wrong with a manifest: where, what, the rule, and what to try.
use std::fmt;
use std::rc::Rc;

/// A place in a manifest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct At {
    /// The file as it was named.
    pub file: Rc<str>,
    /// From 1.
    pub line: usize,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One mistake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// Where.
    pub at: At,
    /// What was found, with the value.
    pub what: String,
    /// The rule that it breaks.
    pub rule: String,
    /// The nearest right answer.
    pub advice: String,
}

impl Diagnostic {
    /// A mistake at a place.
    pub fn new(at: &At, what: impl Into<String>, rule: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { at: at.clone(), what: what.into(), rule: rule.into(), advice: advice.into() }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n  rule: {}\n  try:  {}", self.at, self.what, self.rule, self.advice)
    }
}

/// The number of letters to change, add or drop to get from one word to the other.
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// "did you mean …?" when a known word is near, else the list of what there is.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let mut known: Vec<&str> = known.into_iter().collect();
    known.sort_unstable();
    match near(word, known.iter().copied()) {
        _ if known.is_empty() => "there is none".into(),
        Some(k) => format!("did you mean '{k}'?"),
        None => format!("one of: {}", known.join(", ")),
    }
}

/// The known word that somebody may have meant.
pub fn near<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, near) = known.into_iter().map(|k| (distance(word, k), k)).min()?;
    (distance <= 1 + word.chars().count() / 3).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered_and_else_the_list() {
        assert_eq!(nearest("consol", ["console", "bench"]), "did you mean 'console'?");
        assert_eq!(nearest("zzzzzz", ["console", "bench"]), "one of: bench, console");
        assert_eq!(nearest("x", []), "there is none");
        assert_eq!((distance("kitten", "sitting"), distance("", "ab"), distance("ab", "ab")), (3, 2, 0));
    }
}
