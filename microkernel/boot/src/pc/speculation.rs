//! What a processor says of its faults of speculation, and what a kernel should therefore do.
//!
//! Meltdown, MDS and TAA are taken for there unless the processor says otherwise. Stale data of MMIO, of register files and AMD's TSA are
//! not: most processors that have none of them say nothing, so they count where the processor names a way to clear them, and one with
//! old microcode, which names none, is told as not in need. Sources: Intel SDM volume 4 (IA32_ARCH_CAPABILITIES), Intel's
//! "Processor MMIO stale data", "Register file data sampling" and "Speculative execution side channel mitigations"; AMD64 volume 2, 3.2.9 to 3.2.11,
//! and AMD's "Transient scheduler attacks" for VERW there.

/// What CPUID and, where that names it, IA32_ARCH_CAPABILITIES hold; zero for what is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// The maker is AMD, or Hygon, which makes AMD's.
    pub amd: bool,
    /// Leaf 7, ebx.
    pub seven_ebx: u32,
    /// Leaf 7, edx.
    pub seven_edx: u32,
    /// Leaf 0x8000_0008, ebx.
    pub eight_ebx: u32,
    /// Leaf 0x8000_0021, eax.
    pub twenty_one_eax: u32,
    /// Leaf 0x8000_0021, ecx.
    pub twenty_one_ecx: u32,
    /// IA32_ARCH_CAPABILITIES.
    pub capabilities: u64,
}

/// Leaf 7, edx: IA32_ARCH_CAPABILITIES is there.
pub const HAS_CAPABILITIES: u32 = 1 << 29;

const RTM: u32 = 1 << 11;
const MD_CLEAR: u32 = 1 << 10;
const IBRS_AND_IBPB: u32 = 1 << 26;
const AMD_IBPB: u32 = 1 << 12;
const AMD_AUTOMATIC_IBRS: u32 = 1 << 8;
const AMD_VERW_CLEARS: u32 = 1 << 5;
const AMD_NO_SQ: u32 = 1 << 1;
const AMD_NO_L1: u32 = 1 << 2;
const RDCL_NO: u64 = 1 << 0;
const IBRS_ALL: u64 = 1 << 1;
const MDS_NO: u64 = 1 << 5;
const TAA_NO: u64 = 1 << 8;
const MMIO_NO: u64 = 1 << 13 | 1 << 14 | 1 << 15;
const FB_CLEAR: u64 = 1 << 17;
const RFDS_NO: u64 = 1 << 27;
const RFDS_CLEAR: u64 = 1 << 28;

/// A remedy for a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The processor says that it has no such fault.
    NotNeeded,
    /// The processor has it, and it is used.
    Present,
    /// The fault may be there, and nothing is done.
    Absent,
}

impl Remedy {
    /// What a line says.
    pub const fn name(self) -> &'static str {
        match self {
            Remedy::NotNeeded => "not needed",
            Remedy::Present => "present",
            Remedy::Absent => "ABSENT",
        }
    }
}

/// How a processor keeps branches of user space from leading the kernel's, without a write at each entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelBranches {
    /// Enhanced IBRS: a bit of IA32_SPEC_CTRL, set once.
    Enhanced,
    /// Automatic IBRS: a bit of EFER, set once.
    Automatic,
    /// Neither.
    Unprotected,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remedies {
    /// Kernel tables out of user roots (Meltdown): never done here.
    pub table_isolation: Remedy,
    /// VERW on the way to user space: MDS, TAA, stale data of MMIO, register files, AMD's TSA.
    pub verw: Remedy,
    /// Whether VERW is executed: also if it helps against some of the faults only.
    pub does_verw: bool,
    /// A barrier to branch prediction where another address space is loaded.
    pub ibpb: Remedy,
    /// How the kernel's own branches are kept apart.
    pub branches: KernelBranches,
}

impl Announced {
    const fn says(&self, bits: u64) -> bool {
        self.capabilities & bits == bits
    }

    /// Each fault that VERW is for: whether it may be there, and whether VERW is said to help.
    fn cleared_faults(&self) -> [(bool, bool); 4] {
        if self.amd {
            let clears = self.twenty_one_eax & AMD_VERW_CLEARS != 0;
            let none = self.twenty_one_ecx & (AMD_NO_SQ | AMD_NO_L1) == AMD_NO_SQ | AMD_NO_L1;
            return [(clears && !none, true), (false, false), (false, false), (false, false)];
        }
        let clears = self.seven_edx & MD_CLEAR != 0;
        [
            (!self.says(MDS_NO), clears),
            (self.seven_ebx & RTM != 0 && !self.says(TAA_NO), clears),
            (self.says(FB_CLEAR) && !self.says(MMIO_NO), true),
            (self.says(RFDS_CLEAR) && !self.says(RFDS_NO), true),
        ]
    }

    /// What is to be done on this processor.
    pub fn remedies(&self) -> Remedies {
        let faults = self.cleared_faults().into_iter().filter(|fault| fault.0);
        let has_ibpb = self.seven_edx & IBRS_AND_IBPB != 0 || self.eight_ebx & AMD_IBPB != 0;
        Remedies {
            table_isolation: if self.amd || self.says(RDCL_NO) { Remedy::NotNeeded } else { Remedy::Absent },
            verw: match (faults.clone().count(), faults.clone().all(|fault| fault.1)) {
                (0, _) => Remedy::NotNeeded,
                (_, true) => Remedy::Present,
                (_, false) => Remedy::Absent,
            },
            does_verw: faults.clone().any(|fault| fault.1),
            // No processor says that branches of one address space cannot lead those of another.
            ibpb: if has_ibpb { Remedy::Present } else { Remedy::Absent },
            branches: if self.amd && self.twenty_one_eax & AMD_AUTOMATIC_IBRS != 0 {
                KernelBranches::Automatic
            } else if !self.amd && self.seven_edx & IBRS_AND_IBPB != 0 && self.says(IBRS_ALL) {
                KernelBranches::Enhanced
            } else {
                KernelBranches::Unprotected
            },
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    /// The bits that mean something, each by its number in the makers' tables: 16 of them, so all 65,536 processors.
    const BITS: [(usize, u32); 16] = [
        (0, 0),  // AMD
        (1, 11), // RTM
        (2, 10), // MD_CLEAR
        (2, 26), // IBRS and IBPB
        (3, 12), // AMD's IBPB
        (4, 8),  // automatic IBRS
        (4, 5),  // VERW_CLEAR
        (5, 1),  // TSA_SQ_NO
        (5, 2),  // TSA_L1_NO
        (6, 0),  // RDCL_NO
        (6, 1),  // IBRS_ALL
        (6, 5),  // MDS_NO
        (6, 8),  // TAA_NO
        (6, 17), // FB_CLEAR
        (6, 27), // RFDS_NO
        (6, 28), // RFDS_CLEAR
    ];

    fn processor(world: u32) -> (Announced, std::vec::Vec<bool>) {
        let mut words = [0u64; 7];
        let mut there = std::vec::Vec::new();
        for (i, (word, bit)) in BITS.into_iter().enumerate() {
            let on = world >> i & 1 != 0;
            there.push(on);
            words[word] |= u64::from(on) << bit;
        }
        let [amd, seven_ebx, seven_edx, eight_ebx, twenty_one_eax, twenty_one_ecx, capabilities] = words;
        let announced = Announced {
            amd: amd != 0,
            seven_ebx: seven_ebx as u32,
            seven_edx: seven_edx as u32,
            eight_ebx: eight_ebx as u32,
            twenty_one_eax: twenty_one_eax as u32,
            twenty_one_ecx: twenty_one_ecx as u32,
            capabilities,
        };
        (announced, there)
    }

    /// Judged sentence by sentence instead of by a table of faults. "Not needed" is the dangerous word: it may stand only where the
    /// processor has said so of every fault.
    #[test]
    fn every_processor_gets_what_its_makers_say() {
        let mut seen = [0; 3];
        for world in 0..1 << BITS.len() {
            let (announced, there) = processor(world);
            let [
                amd,
                rtm,
                md_clear,
                ibrs,
                amd_ibpb,
                automatic,
                verw_clear,
                no_sq,
                no_l1,
                rdcl_no,
                ibrs_all,
                mds_no,
            ] = there[..12]
            else {
                panic!()
            };
            let [taa_no, fb_clear, rfds_no, rfds_clear] = there[12..] else { panic!() };
            let r = announced.remedies();
            assert_eq!(r.table_isolation == Remedy::NotNeeded, amd || rdcl_no, "{announced:x?}");
            assert_ne!(r.table_isolation, Remedy::Present, "there is none");
            if r.verw == Remedy::NotNeeded {
                assert!(!r.does_verw);
                assert!(amd || mds_no, "{announced:x?}");
                assert!(amd || !rtm || taa_no, "{announced:x?}");
                assert!(amd || !fb_clear, "the three bits of MMIO are not in these worlds: {announced:x?}");
                assert!(amd || !rfds_clear || rfds_no, "{announced:x?}");
                assert!(!amd || !verw_clear || (no_sq && no_l1), "{announced:x?}");
            }
            if r.verw == Remedy::Present {
                assert!(r.does_verw);
                assert!(
                    amd || md_clear || (mds_no && (!rtm || taa_no)),
                    "MDS and TAA need MD_CLEAR: {announced:x?}"
                );
            }
            if r.verw == Remedy::Absent {
                assert!(!amd && !md_clear && (!mds_no || (rtm && !taa_no)), "{announced:x?}");
            }
            assert_eq!(r.ibpb == Remedy::Present, ibrs || amd_ibpb);
            assert_ne!(r.ibpb, Remedy::NotNeeded);
            // A bit is set only on a processor that has it.
            match r.branches {
                KernelBranches::Automatic => assert!(amd && automatic),
                KernelBranches::Enhanced => assert!(!amd && ibrs && ibrs_all),
                KernelBranches::Unprotected => {
                    assert!(if amd { !automatic } else { !(ibrs && ibrs_all) }, "{announced:x?}");
                }
            }
            seen[r.verw as usize] += 1;
        }
        assert!(seen.iter().all(|n| *n > 1000), "{seen:?}");
    }

    #[test]
    fn stale_data_of_mmio_needs_all_three_bits() {
        let base = MDS_NO | TAA_NO | FB_CLEAR;
        for some in [0, 1 << 13, 1 << 14 | 1 << 15, 1 << 13 | 1 << 15, MMIO_NO] {
            let announced = Announced { capabilities: base | some, ..Announced::default() };
            let expected = if some == MMIO_NO { Remedy::NotNeeded } else { Remedy::Present };
            assert_eq!(announced.remedies().verw, expected, "{some:#x}");
        }
    }

    #[test]
    fn a_processor_that_says_nothing_is_trusted_with_nothing() {
        let r = Announced::default().remedies();
        assert_eq!((r.table_isolation, r.verw, r.ibpb), (Remedy::Absent, Remedy::Absent, Remedy::Absent));
        assert_eq!((r.does_verw, r.branches), (false, KernelBranches::Unprotected));
        assert_eq!(r.verw.name(), "ABSENT");
    }
}
