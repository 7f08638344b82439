//! Reads captured logs: JSON lines, Markdown.
fn main() {}
