#![no_std]
//! virtio-i2c over virtio-mmio as an embedded-hal I2c bus.
