//! Message types of the Axiom servers, one module per interface.
#![no_std]

pub mod bpf;
pub mod bpf_host;
