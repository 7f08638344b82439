//! What every server links for copies; no runtime else. Where the runtime has none of its own, the compiler's are under test.
#[cfg(target_arch = "aarch64")]
#[path = "../../../../../servers/runtime/src/mem.rs"]
mod runtime;
