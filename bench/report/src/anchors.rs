//! The figures that the report stands beside: measured earlier on the same kind of machine (2 shared cores,
//! QEMU 7.2, TCG), from the systems named. They are constants of those measurements, not results of this tree;
//! the page says so where it shows them.

/// One figure of another system for one of our metrics.
pub struct Anchor {
    /// Our metric's name.
    pub metric: &'static str,
    /// The other system and what exactly was measured there.
    pub system: &'static str,
    /// The figure, in the metric's unit.
    pub figure: f64,
}

const LINUX: &str = "Linux 6.1 (Debian cloud kernel, static init)";

/// Anchors for metrics whose unit is nanoseconds of the guest's clock under `-icount shift=0`.
pub const ICOUNT: &[Anchor] = &[
    Anchor { metric: "boot.entry_to_init", system: LINUX, figure: 896.0e6 },
    Anchor { metric: "bpf.load.2.total", system: LINUX, figure: 45.2e3 },
    Anchor { metric: "bpf.load.100.total", system: LINUX, figure: 210.0e3 },
    Anchor { metric: "bpf.load.1000.total", system: LINUX, figure: 1771.0e3 },
    Anchor { metric: "timer.10ms.lateness", system: LINUX, figure: 6.3e3 },
    Anchor { metric: "ipc.postcard.round_trip", system: "Linux 6.1, pipe round trip", figure: 14.1e3 },
    Anchor { metric: "memory.in_use", system: LINUX, figure: 67.8e6 },
    Anchor { metric: "ipc.round_trip.passive.0w.same_space", system: "seL4 16.0 MCS", figure: 599.0 },
    Anchor { metric: "ipc.round_trip.passive.4w.same_space", system: "seL4 16.0 MCS", figure: 646.0 },
    Anchor { metric: "ipc.round_trip.passive.10w.same_space", system: "seL4 16.0 MCS", figure: 2165.0 },
    Anchor { metric: "ipc.round_trip.active.0w.same_space", system: "seL4 16.0 MCS", figure: 2113.0 },
    Anchor { metric: "notification.signal", system: "seL4 16.0 MCS", figure: 410.0 },
    Anchor { metric: "page.map", system: "seL4 16.0 MCS", figure: 618.0 },
    Anchor { metric: "page.unmap", system: "seL4 16.0 MCS", figure: 570.0 },
];
