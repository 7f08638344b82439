//! The only device that the kernel drives besides its timer and debug UART: the interrupt controller.
pub mod gic;
