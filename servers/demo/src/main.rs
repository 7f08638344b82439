//! Loads the sample programs and shows the sensor stream.
fn main() {}
