//! vhost-user-i2c backend that models an ADXL345 and a TMP1xx.
fn main() {}
