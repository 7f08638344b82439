//! The keys of a system's manifest, each declared once: compose reads and checks by them, `docs/src/manifest.md` is made of them.

use crate::MAX_SCRATCH_KIB;
use crate::address::{ARENA_KIB, FUNCTIONS_KIB, SHARED_KIB};

/// What a key may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A text.
    Text,
    /// A list of texts.
    Texts,
    /// A whole number, from and to, and its unit.
    Number(u64, u64, &'static str),
    /// Yes or no.
    Flag,
    /// A list of tables with these keys.
    Tables(&'static [Key]),
    /// Something else, in words.
    Other(&'static str),
}

/// What a key is where the manifest does not say it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Otherwise {
    /// It must be said.
    Must,
    /// This number.
    Number(u64),
    /// This.
    Flag(bool),
    /// In words.
    Words(&'static str),
}

/// A key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What it is otherwise.
    pub default: Otherwise,
    /// What it says.
    pub doc: &'static str,
}

const fn key(name: &'static str, kind: Kind, default: Otherwise, doc: &'static str) -> Key {
    Key { name, kind, default, doc }
}

use Kind::{Flag, Number, Other, Tables, Text, Texts};
use Otherwise::{Must, Words};

const NONE: Otherwise = Words("none");
const NO: Otherwise = Otherwise::Flag(false);
const YES: Otherwise = Otherwise::Flag(true);
const ZERO: Otherwise = Otherwise::Number(0);

/// `[system]`.
pub const SYSTEM: &[Key] = &[
    key("name", Text, Must, "the system's name"),
    key("board", Text, Must, "the board that it is for"),
    key(
        "memory_mib",
        Number(16, 1 << 20, "MiB"),
        Otherwise::Number(1024),
        "the least RAM of the board; everything fits in it",
    ),
    key(
        "test",
        Flag,
        NO,
        "this system tests others: its servers may have rights that no product gives (`debugs`)",
    ),
    key("print_facts", Flag, NO, "init prints what the machine says of itself"),
    key(
        "debug_calls",
        Flag,
        NO,
        "the kernel's debugging system calls stay, for every server: any of them may print and stop the machine",
    ),
    key(
        "pci_window_from_mib",
        Number(0, 1 << 20, "MiB"),
        ZERO,
        "addresses from here on are for registers of PCI functions that firmware gave no addresses",
    ),
    key(
        "pci_window_mib",
        Number(0, 4096, "MiB"),
        ZERO,
        "how many of them there are; none: such functions are not used",
    ),
];

/// `[server.<name>]`.
pub const SERVER: &[Key] = &[
    key("image", Text, Must, "its program, by the name of its ELF file"),
    key(
        "priority",
        Number(1, 254, "(254 is the highest; init has 255)"),
        Must,
        "calls go uphill: only to servers of higher priority",
    ),
    key(
        "background",
        Flag,
        NO,
        "it runs on what the budgets leave, by priority, 5 ms at a time; then it has no budget",
    ),
    key(
        "budget_us",
        Number(20, 10_000_000, "microseconds"),
        Must,
        "time in every period; all budgets together fit one processor",
    ),
    key("period_us", Number(20, 10_000_000, "microseconds"), Must, "the period"),
    key("stack_kib", Number(4, 8192, "KiB"), Otherwise::Number(16), "its stack"),
    key(
        "heap_kib",
        Number(4, ARENA_KIB - 3072, "KiB"),
        Words("64 if its program allocates"),
        "its heap; only for programs that link `axiom-heap`",
    ),
    key("calls", Texts, NONE, "servers that it may call; nobody else is reachable"),
    key("clients", Texts, Words("whoever calls it"), "who alone may call it"),
    key("signals", Texts, NONE, "servers whose notification it may signal"),
    key("devices", Tables(DEVICE), NONE, "devices that are its own"),
    key(
        "loader",
        Text,
        NONE,
        "who alone places programs in it, whose code then runs inside it; without one it runs none",
    ),
    key("blobs", Texts, NONE, "files of the bundle that it reads"),
    key("args", Other("settings by name"), NONE, "settings, as its program declares them"),
    key(
        "restart",
        Other("`\"always\"`, `\"never\"` or `{ max = N }`"),
        Words("`\"never\"`"),
        "what happens after a crash",
    ),
    key("reports_ready", Flag, YES, "the system is ready when it is"),
    key(
        "timers",
        Texts,
        Words("those that its program declares"),
        "names of timers, for a program that declares nothing",
    ),
    key(
        "hosts",
        Texts,
        Words("those that its program declares"),
        "kinds of attach points, for a program that declares nothing",
    ),
    key(
        "untyped_kib",
        Number(0, 65_536, "KiB"),
        ZERO,
        "memory for kernel objects of its own, a power of two",
    ),
    key("dma_kib", Number(0, 16_384, "KiB"), ZERO, "memory for its devices, physically in a row"),
    key(
        "shared_kib",
        Number(0, SHARED_KIB, "KiB"),
        ZERO,
        "memory that it gives to clients page by page; it outlives a crash",
    ),
    key("scratch_kib", Number(0, MAX_SCRATCH_KIB, "KiB"), ZERO, "addresses at which it maps frames itself"),
    key(
        "trace",
        Flag,
        NO,
        "it sees the kernel's events, and what other servers wrote of their stacks and heaps",
    ),
    key("makes_threads", Flag, NO, "it may make threads with any budget"),
    key("watches_restarts", Flag, NO, "it is told when a server was restarted"),
    key("ends_run", Flag, NO, "it may end the run, with a verdict: not in a product"),
    key("gpio_chips", Texts, NONE, "GPIO chips that it owns; their places are their numbers"),
    key("pwm_chips", Texts, NONE, "PWM chips that it owns"),
    key("gpio", Tables(LINE), NONE, "lines that it may use, by message"),
    key("pwm", Tables(CHANNEL), NONE, "PWM channels that it may drive"),
    key("motor_stop", Flag, NO, "it may stop the motors"),
    key("motor_rearm", Flag, NO, "it may end an emergency stop"),
    key("rp1", Texts, NONE, "peripherals of RP1 that it may open"),
    key("iio", Texts, NONE, "sensors that it may start, stop and read out"),
    key("debugs", Texts, NONE, "servers whose threads it may stop and change, in a test's system only"),
    key("removed", Flag, NO, "takes a server of the manifest out that this one extends"),
];

/// A device.
pub const DEVICE: &[Key] = &[
    key("name", Text, Must, "the server's name for it"),
    key(
        "compatible",
        Text,
        Must,
        "the device tree's, or a PCI function's: `pci1af4,1062`, vendor and device",
    ),
    key("virtio_id", Number(1, 63, "(34 is I2C)"), NONE, "for `virtio,mmio`: what its registers show"),
    key("instance", Number(0, 255, "(which of several, from 0)"), ZERO, "which of several"),
    key("interrupts", Flag, YES, "with its interrupts"),
    key("ranges", Flag, NO, "a bridge, with the addresses behind it and the interrupts of its pins"),
    key("messages", Flag, NO, "with the interrupts that messages to it raise"),
    key("optional", Flag, NO, "the system goes on without it"),
    key(
        "registers_kib",
        Number(REGISTERS_LEAST_KIB, FUNCTIONS_KIB, "KiB"),
        Otherwise::Number(1024),
        "for a PCI function: most addresses that its registers take in the server: configuration space, BARs, and a free page after each",
    ),
];

/// Configuration space, and the page after it.
const REGISTERS_LEAST_KIB: u64 = 8;

/// A line that somebody may use.
pub const LINE: &[Key] = &[
    key("chip", Text, Must, "its chip's name"),
    key("line", Number(0, 63, "(a line of the chip)"), Must, "its number"),
    key("out", Flag, NO, "it may be driven, too"),
];

/// A channel that somebody may drive, or that a motor hangs on.
pub const CHANNEL: &[Key] = &[
    key("chip", Text, Must, "its chip's name"),
    key("channel", Number(0, 15, "(a channel of the chip)"), Must, "its number"),
];

/// A line that a motor hangs on.
pub const MOTOR_LINE: &[Key] = &[
    key("chip", Text, Must, "its chip's name"),
    key("line", Number(0, 63, "(a line of the chip)"), Must, "its number"),
    key(
        "stop",
        Number(0, 1, "(the level at which the motor stands)"),
        Must,
        "the level at which the motor stands",
    ),
];

/// `[program.<name>]`.
pub const PROGRAM: &[Key] = &[
    key("object", Text, Must, "the file that it is in, one of the blobs of the server that loads it"),
    key("owner", Text, Must, "who alone may load it with these rights, replace and remove it"),
    key("gpio", Tables(LINE), NONE, "lines that it may use"),
    key("pwm", Tables(CHANNEL), NONE, "PWM channels that it may drive"),
    key("motor_stop", Flag, NO, "it may stop the motors"),
    key("pinned_at", Text, NONE, "its attach point, if it stays whatever becomes of its owner"),
];

/// `[motor.<name>]`.
pub const MOTOR: &[Key] = &[
    key(
        "gpio",
        Tables(MOTOR_LINE),
        NONE,
        "lines that an emergency stop puts to where the motor stands, at most 8",
    ),
    key("pwm", Tables(CHANNEL), NONE, "channels that it stops, at most 8"),
];

/// All tables of a manifest, with their headings.
pub const TABLES: &[(&str, &[Key])] = &[
    ("[system]", SYSTEM),
    ("[server.<name>]", SERVER),
    ("a device (`devices`)", DEVICE),
    ("a line (`gpio` of a server or program)", LINE),
    ("a channel (`pwm`)", CHANNEL),
    ("[program.<name>]", PROGRAM),
    ("[motor.<name>]", MOTOR),
    ("a line of a motor (`gpio`)", MOTOR_LINE),
];

/// A key of a table.
pub fn find(table: &'static [Key], name: &str) -> Option<&'static Key> {
    table.iter().find(|key| key.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_stands_once_and_its_default_is_one_of_its_values() {
        for (heading, table) in TABLES {
            for (i, key) in table.iter().enumerate() {
                assert!(table[..i].iter().all(|other| other.name != key.name), "{heading}: {}", key.name);
                match (key.kind, key.default) {
                    (Number(least, most, _), Otherwise::Number(n)) => {
                        assert!((least..=most).contains(&n), "{}", key.name)
                    }
                    (Number(least, most, _), _) => assert!(least < most, "{}", key.name),
                    (Flag, Otherwise::Flag(_)) => {}
                    (Flag, _) => panic!("{}: a flag has a default", key.name),
                    (_, Otherwise::Number(_) | Otherwise::Flag(_)) => {
                        panic!("{}: its default is of another kind", key.name)
                    }
                    _ => {}
                }
                assert!(!key.doc.is_empty() && !key.doc.ends_with('.'), "{}", key.name);
            }
        }
    }
}
