//! UART: Arm PL011 with 32-bit accesses. The same registers as [`crate::soc::uart`].
//!
//! ```
//! use bcm2712_pac::rp1::uart;
//! assert_eq!(uart::DR.offset(), 0);
//! ```

pub use crate::soc::uart::*;
