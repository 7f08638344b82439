#![no_std]
//! Kernel objects as state machines that also run on the host.
