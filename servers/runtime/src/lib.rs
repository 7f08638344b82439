#![no_std]
//! What every Axiom server links.
