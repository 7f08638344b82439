//! What bus drivers ask of their surroundings.
#![no_std]

/// How a bus driver waits for its controller.
pub trait Wait {
    /// A transaction starts: from now on [`Wait::wait`] counts its time.
    fn begin(&mut self);
    /// Waits for the controller's interrupt (or, where there is none, a moment); false when the transaction's time is over.
    fn wait(&mut self) -> bool;
    /// The interrupt was handled in the controller: let it come again.
    fn handled(&mut self);
}
