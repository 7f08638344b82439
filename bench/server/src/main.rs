//! Measures the system and prints the report.
fn main() {}
