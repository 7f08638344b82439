//! This architecture has no I/O ports: registers are memory.
