#![no_std]
//! The reference interpreter.
