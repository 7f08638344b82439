//! Where in the source an instruction comes from (BTF line information).

/// One source line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LineInfo<'a> {
    /// The file as the compiler named it.
    pub file: &'a str,
    /// Its line, from 1.
    pub line: u32,
    /// The text of the line, without its indentation if the producer cut it.
    pub text: &'a str,
}

/// Finds the source line of an instruction slot.
pub trait Lines {
    /// The line of slot `insn`, if the object says.
    fn line(&self, insn: usize) -> Option<LineInfo<'_>>;
}
