//! The benchmark server.
use crate::largest::message;
use serde::{Deserialize, Serialize};

/// The interface's number.
pub const INTERFACE: u16 = 0x30;

message! {
    /// A request to the benchmark server.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Request {
        /// Measures everything and prints the report.
        Run,
        /// Answered at once: the partner of the message measurements.
        Echo {
            /// Comes back.
            value: u32,
        },
    }
}

message! {
    /// An answer of the benchmark server.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Reply {
        /// The report is printed; how many metrics it has.
        Done {
            /// Number of metrics.
            metrics: u32,
        },
        /// The value of [`Request::Echo`].
        Echo {
            /// As it came.
            value: u32,
        },
    }
}
