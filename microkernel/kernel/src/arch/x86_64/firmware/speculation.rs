//! What the processor says of its speculation, and what this kernel does about it: for each known fault whether it is a danger here, and a
//! mitigation present or not. Nothing is assumed to be safe that CPUID does not say so of.
//!
//! The kernel's own tables are in every user root (no page-table isolation), no predictor is flushed between address spaces (no IBPB), no
//! buffer on the way out (no VERW). Entries of page tables that are not present are zero, so L1TF has no address to begin with. One thread of
//! one core runs; what another thread of the same core could see (SMT) does not arise.
use super::super::cpu;
use crate::print::println;

/// IA32_ARCH_CAPABILITIES, and bits in it by which a processor says that a fault is not its own.
const CAPABILITIES: u32 = 0x10a;
const RDCL_NO: u64 = 1 << 0;
const MDS_NO: u64 = 1 << 5;
/// CPUID leaf 7, edx: VERW clears buffers; IBRS and IBPB; IA32_ARCH_CAPABILITIES is there.
const MD_CLEAR: u32 = 1 << 10;
const SPEC_CTRL: u32 = 1 << 26;
const HAS_CAPABILITIES: u32 = 1 << 29;
/// CPUID leaf 0x8000_0008, ebx: IBPB by itself.
const IBPB: u32 = 1 << 12;

/// What the line says of a fault.
fn fault(no_danger: bool, remedy: bool) -> &'static str {
    match (no_danger, remedy) {
        (true, _) => "no danger here",
        (false, true) => "UNMITIGATED, though the processor has the means",
        (false, false) => "UNMITIGATED",
    }
}

/// Says it.
pub fn report() {
    let vendor = cpu::cpuid(0, 0);
    let is_intel = (vendor.ebx, vendor.edx, vendor.ecx) == (0x756e_6547, 0x4965_6e69, 0x6c65_746e);
    let is_amd = (vendor.ebx, vendor.edx, vendor.ecx) == (0x6874_7541, 0x6974_6e65, 0x444d_4163);
    let seven = cpu::cpuid(7, 0).edx;
    let capabilities = if seven & HAS_CAPABILITIES != 0 { cpu::read_msr(CAPABILITIES) } else { 0 };
    let ibpb = seven & SPEC_CTRL != 0 || cpu::cpuid(0x8000_0008, 0).ebx & IBPB != 0;
    println!(
        "axiom: facts: meltdown (kernel tables in user roots): {}, mds: {}, l1tf: no address in absent entries, spectre v2 (no ibpb): {}, {}",
        fault(is_amd || capabilities & RDCL_NO != 0, true),
        fault(is_amd || capabilities & MDS_NO != 0, seven & MD_CLEAR != 0),
        fault(false, ibpb),
        if is_intel {
            "Intel"
        } else if is_amd {
            "AMD"
        } else {
            "another maker"
        },
    );
}
