#![no_std]
//! Map types over caller-provided memory.
