#![no_std]
//! What a server links to run programs on its own events.
