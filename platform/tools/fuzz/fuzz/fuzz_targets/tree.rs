#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| axiom_fuzz::tree(data));
