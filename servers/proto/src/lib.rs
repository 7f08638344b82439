#![no_std]
//! Message types of the Axiom servers, one module per interface.
