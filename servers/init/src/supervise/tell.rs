//! Faults and boards in words.
use crate::arch;
use crate::sys;
use alloc::string::String;
use alloc::vec::Vec;
use axiom_fdt::Fdt;
use sel4_sys::ext::AxiomInfo;
use sel4_sys::fault::{cap_fault, kind as fault, unknown_syscall, user_exception, vm_fault};
use sel4_sys::stubs::Received;

/// What somebody reports back from a board that nobody tried before.
pub(super) fn facts(axiom: Option<AxiomInfo>, fdt: Option<&Fdt<'_>>) -> Vec<String> {
    let a = axiom.unwrap_or_default();
    let text = |path: &str, name: &str| {
        fdt.and_then(|f| f.at_path(path)).and_then(|n| n.text(name)).unwrap_or("none")
    };
    let mut cores = String::new();
    if let Some(fdt) = fdt {
        // A tree that ends early was complained of by the kernel.
        let _ = fdt.walk(|node| {
            if node.text("device_type") == Some("cpu") {
                cores += &alloc::format!(" {:#x}", node.u32("reg").unwrap_or(0));
            }
            axiom_fdt::Walk::On
        });
    }
    alloc::vec![
        alloc::format!("{}, {} MiB of RAM, cores{cores}", text("/", "model"), a.ram_bytes >> 20),
        alloc::format!(
            "kernel at {:#x}, entered at EL{}; device tree at {:#x}; stdout {}",
            a.image_address,
            a.entry_level,
            a.fdt_address,
            text("/chosen", "stdout-path")
        ),
        alloc::format!(
            "MIDR {:#x}, MPIDR {:#x}, GICD_TYPER {:#x}, GICD_IIDR {:#x}, counter {} Hz",
            a.midr,
            a.mpidr,
            a.gicd_typer,
            a.gicd_iidr,
            a.counter_frequency
        ),
    ]
}

pub(super) fn describe(received: &Received) -> String {
    let word = |i: usize| if i < 4 { received.mrs[i] } else { sys::buffer().msg[i] };
    match received.info.label() {
        fault::VM => {
            let what = if word(vm_fault::PREFETCH) != 0 { "jumped to" } else { "touched" };
            alloc::format!(
                "at {:#x} it {what} {:#x}, where nothing is mapped that allows it (fsr {:#x})",
                word(vm_fault::IP),
                word(vm_fault::ADDR),
                word(vm_fault::FSR)
            )
        }
        fault::CAP => alloc::format!(
            "at {:#x} it used capability {:#x}, which it does not have",
            word(cap_fault::IP),
            word(cap_fault::ADDR)
        ),
        fault::UNKNOWN_SYSCALL => alloc::format!(
            "at {:#x} it made the unknown system call {}",
            word(unknown_syscall::FAULT_IP),
            word(unknown_syscall::SYSCALL) as i64
        ),
        fault::USER_EXCEPTION => alloc::format!(
            "at {:#x} an exception ({} {:#x}): {}",
            word(user_exception::FAULT_IP),
            arch::EXCEPTION,
            word(user_exception::NUMBER),
            arch::exception(word(user_exception::NUMBER))
        ),
        other => alloc::format!("fault {other}"),
    }
}
