//! What is done about the processor's faults of speculation, as [`axiom_boot::pc::speculation`] decides, and the line that says it.
//!
//! The kernel's own tables are in every user root: there is no page-table isolation. Entries of page tables that are not present are zero, so
//! L1TF has no address to begin with. One thread of one core runs; what another thread of the same core could see (SMT) does not arise.
use super::super::cpu::{self, FEATURES, msr};
use super::super::paging::IMAGE_OFFSET;
use super::super::trap::sites;
use crate::print::println;
use axiom_boot::pc::speculation::{Announced, HAS_CAPABILITIES, KernelBranches, Remedies, Remedy};

/// What was decided at boot.
#[derive(Clone, Copy)]
pub struct Decided {
    remedies: Remedies,
    /// The command line asks for VERW and barriers whatever the processor says.
    is_forced: bool,
}

impl Decided {
    /// Looks at the processor, and rewrites what is different on it.
    ///
    /// # Safety
    /// Boot's window is what is loaded, and nothing of user space ran.
    pub unsafe fn apply(is_forced: bool) -> Decided {
        let remedies = announced().remedies();
        let rewrite = |there: bool, kind: u64| {
            if there {
                // SAFETY: this function's condition; boot runs none of the places.
                unsafe { sites::rewrite(kind, IMAGE_OFFSET) };
            }
        };
        rewrite(!FEATURES.fsgsbase.get(), sites::BY_REGISTERS);
        rewrite(remedies.does_verw || is_forced, sites::CLEARING);
        rewrite(remedies.ibpb == Remedy::Present || is_forced, sites::BARRIER);
        const IBRS: u64 = 1;
        const AUTOMATIC: u64 = 1 << 21;
        // SAFETY: the processor announces the register, or the bit of one that is part of 64-bit mode; what was there stays.
        unsafe {
            match remedies.branches {
                KernelBranches::Enhanced => {
                    cpu::write_msr(msr::SPECULATION_CONTROL, cpu::read_msr(msr::SPECULATION_CONTROL) | IBRS);
                }
                KernelBranches::Automatic => cpu::write_msr(msr::EFER, cpu::read_msr(msr::EFER) | AUTOMATIC),
                KernelBranches::Unprotected => {}
            }
        }
        Decided { remedies, is_forced }
    }

    /// Says it.
    pub fn report(&self) {
        let r = &self.remedies;
        println!(
            "axiom: facts: page-table isolation (meltdown) {}, buffers cleared before user space (verw) {}, branch barrier between address spaces \
             (ibpb) {}, kernel branches kept apart {}, l1tf no address in absent entries{}",
            r.table_isolation.name(),
            r.verw.name(),
            r.ibpb.name(),
            match r.branches {
                KernelBranches::Enhanced => "by enhanced ibrs",
                KernelBranches::Automatic => "by automatic ibrs",
                KernelBranches::Unprotected => "ABSENT",
            },
            if self.is_forced { "; verw and barriers asked for by the command line" } else { "" },
        );
    }
}

/// What the processor says.
fn announced() -> Announced {
    let maker = cpu::cpuid(0, 0);
    let (amd, hygon) = ((0x6874_7541, 0x6974_6e65, 0x444d_4163), (0x6f67_7948, 0x6e65_476e, 0x656e_6975));
    let maker = (maker.ebx, maker.edx, maker.ecx);
    let (seven, later) = (cpu::cpuid(7, 0), cpu::cpuid(0x8000_0021, 0));
    Announced {
        amd: maker == amd || maker == hygon,
        seven_ebx: seven.ebx,
        seven_edx: seven.edx,
        eight_ebx: cpu::cpuid(0x8000_0008, 0).ebx,
        twenty_one_eax: later.eax,
        twenty_one_ecx: later.ecx,
        capabilities: if seven.edx & HAS_CAPABILITIES != 0 {
            cpu::read_msr(msr::ARCH_CAPABILITIES)
        } else {
            0
        },
    }
}
