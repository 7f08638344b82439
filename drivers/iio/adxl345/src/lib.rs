#![no_std]
//! ADXL345 accelerometer, generic over embedded-hal I2c.
