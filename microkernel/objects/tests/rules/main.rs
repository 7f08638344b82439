//! Rules that are tables: every kind, every size, every right, each held against a table that is written down here, not against the
//! code's own formulas. Worlds and the session show how rules work together; these show that no entry of a rule is another one.
//! The tables are AArch64's.
#![cfg(not(axiom_arch = "x86_64"))]
#![allow(missing_docs, reason = "a test")]
mod accounts;
mod calls;
mod capabilities;
mod chains;
mod choice;
mod contexts;
mod copies;
mod derivation;
mod devices;
mod endpoints;
mod faults;
mod lookup;
mod memory;
mod messages;
mod paging;
mod scheduling;
mod short;
mod spaces;
mod threads;
mod turns;
