//! How the benchmark server prints the kernel's trace, for the tool that turns it into a picture.
//!
//! Between the markers: a line `{"trace":1,"counter_hz":..,"lost":..}`; a line per server, `{"server":index,"name":".."}`; a line
//! per sample whose way was noted, `{"way":[trigger,program,consumer]}` in nanoseconds of the counter; a line per record,
//! `[counter,event,arg0,arg1]`; and at the end `{"records":n}`, so that a lost line is noticed.

/// First line.
pub const BEGIN: &str = "-----BEGIN AXIOM TRACE-----";
/// Last line.
pub const END: &str = "-----END AXIOM TRACE-----";
/// Version of the format.
pub const FORMAT_VERSION: u32 = 1;
/// A user event that names the benchmark's busy thread in its arg1.
pub const USER_THREAD: u16 = axiom_trace::event::USER | 0xff;
