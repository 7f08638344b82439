//! What is measured, each in a file: messages, timers, programs, memory, the boot; by a clock, into samples, onto the report.

mod boot;
mod bpf;
mod clock;
mod ipc;
mod kernel;
mod memory;
mod partner;
mod report;
mod sample;
mod scans;
mod second;
mod server;
#[cfg(test)]
mod tests;
mod threads;
mod timer;
mod trace;
