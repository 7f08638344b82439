#![no_std]
//! The IIO core: devices, channels, units, buffers, triggers.
