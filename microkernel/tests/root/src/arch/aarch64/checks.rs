//! Checks of what only this architecture has: there are none here; its cache operations are checked on the host.
use crate::world::Check;

/// All checks, by name.
pub const ALL: &[(&str, Check)] = &[];
