//! `axiom-handover`: makes a file that QEMU loads as a kernel. It starts Axiom's kernel as a boot loader would, with start information,
//! memory maps and ACPI tables that QEMU's own firmware never gives: damaged ones, too.
//!
//! ```text
//! axiom-handover --list                           # the cases: name, how it ends, what it must say
//! axiom-handover CASE --kernel ELF --module FILE -o FILE
//! ```
//! The file is the kernel's own, with two more segments: a page of memory with start info or Multiboot2 information, memory map, ACPI tables and
//! a few instructions, which set the two registers and jump to the kernel's entry; and the module. So the case ([`cases`]) decides all
//! that boot loader and firmware say: it is as on QEMU's q35, but for the damage that the case names. The devices themselves, interrupt
//! controllers and clocks, are the emulator's.
//!
//! What it refuses: a kernel that is no ELF file of 64 bits, and one with segments where its own would be.
use std::process::ExitCode;

mod acpi;
mod cases;
mod elf;
mod loader;

use cases::Ending;

const USAGE: &str = "axiom-handover --list\naxiom-handover CASE --kernel ELF --module FILE -o FILE";

fn run() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next().ok_or(USAGE)?;
    if first == "--list" {
        for case in cases::all() {
            let ending = match case.ending {
                Ending::Refused => "refused",
                Ending::Patience => "patience",
                Ending::Boots => "boots",
            };
            println!("{}\t{ending}\t{}", case.name, case.says);
        }
        return Ok(());
    }
    let mut files = [const { None }; 3];
    while let Some(option) = arguments.next() {
        let place = ["--kernel", "--module", "-o"].iter().position(|known| *known == option);
        let place = place.ok_or_else(|| format!("there is no option {option}\n{USAGE}"))?;
        files[place] = Some(arguments.next().ok_or_else(|| format!("{option} needs a file\n{USAGE}"))?);
    }
    let [Some(kernel), Some(module), Some(output)] = files else { return Err(USAGE.into()) };
    let case = cases::all().into_iter().find(|case| case.name == first);
    let case = case.ok_or_else(|| format!("there is no case {first}: --list shows them"))?;
    let read = |path: &str| std::fs::read(path).map_err(|e| format!("{path}: cannot be read: {e}"));
    let kernel = elf::Kernel::parse(&read(&kernel)?).map_err(|why| format!("{kernel}: {why}"))?;
    let file = loader::build(&kernel, &read(&module)?, (case.handover)())?;
    std::fs::write(&output, file).map_err(|e| format!("{output}: cannot be written: {e}"))
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("axiom-handover: {why}");
            ExitCode::from(2)
        }
    }
}
