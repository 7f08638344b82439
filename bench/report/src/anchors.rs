//! The figures that the report stands beside: measured earlier on the same kind of machine (2 shared cores,
//! QEMU 7.2, TCG), from the systems named. They are constants of those measurements, not results of this tree;
//! the page says so where it shows them.

use crate::log::Report;

/// One figure of another system for one of our metrics.
pub struct Anchor {
    /// Our metric's name.
    pub metric: &'static str,
    /// The other system and what exactly was measured there.
    pub system: &'static str,
    /// The figure, in the metric's unit.
    pub figure: f64,
}

const SEL4: &str = "seL4 16.0 MCS";
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
    Anchor { metric: "ipc.round_trip.passive.0w.same_space", system: SEL4, figure: 599.0 },
    Anchor { metric: "ipc.round_trip.passive.4w.same_space", system: SEL4, figure: 646.0 },
    Anchor { metric: "ipc.round_trip.passive.10w.same_space", system: SEL4, figure: 2165.0 },
    Anchor { metric: "ipc.round_trip.active.0w.same_space", system: SEL4, figure: 2113.0 },
    Anchor { metric: "notification.signal", system: SEL4, figure: 410.0 },
    Anchor { metric: "page.map", system: SEL4, figure: 618.0 },
    Anchor { metric: "page.unmap", system: SEL4, figure: 570.0 },
    Anchor { metric: "ipc.postcard.round_trip", system: "Linux 6.1, futex round trip", figure: 12.8e3 },
    Anchor { metric: "kernel.call.passive.0w", system: SEL4, figure: 270.0 },
    Anchor { metric: "kernel.call.passive.4w", system: SEL4, figure: 294.0 },
    Anchor { metric: "kernel.call.passive.5w", system: SEL4, figure: 970.0 },
    Anchor { metric: "kernel.call.passive.10w", system: SEL4, figure: 995.0 },
    Anchor { metric: "kernel.call.passive.120w", system: SEL4, figure: 1545.0 },
    Anchor { metric: "kernel.reply_recv.passive.0w", system: SEL4, figure: 323.0 },
    Anchor { metric: "kernel.reply_recv.passive.4w", system: SEL4, figure: 346.0 },
    Anchor { metric: "kernel.reply_recv.passive.10w", system: SEL4, figure: 1164.0 },
    Anchor { metric: "kernel.reply_recv.passive.120w", system: SEL4, figure: 1714.0 },
    Anchor { metric: "kernel.round_trip.passive.0w", system: SEL4, figure: 599.0 },
    Anchor { metric: "kernel.round_trip.passive.4w", system: SEL4, figure: 646.0 },
    Anchor { metric: "kernel.round_trip.passive.10w", system: SEL4, figure: 2165.0 },
    Anchor { metric: "kernel.round_trip.active.0w", system: SEL4, figure: 2113.0 },
    Anchor { metric: "kernel.send.to_higher_priority_receiver", system: SEL4, figure: 780.0 },
    Anchor { metric: "kernel.signal.nobody_waits", system: SEL4, figure: 410.0 },
    Anchor { metric: "kernel.signal.to_higher_priority_waiter", system: SEL4, figure: 709.0 },
    Anchor { metric: "kernel.nb_wait", system: SEL4, figure: 277.0 },
    Anchor { metric: "kernel.interrupt_to_driver", system: SEL4, figure: 523.0 },
    Anchor { metric: "kernel.irq_ack", system: SEL4, figure: 448.0 },
    Anchor { metric: "kernel.yield.nobody_else_ready", system: SEL4, figure: 480.0 },
    Anchor { metric: "kernel.page_map", system: SEL4, figure: 618.0 },
    Anchor { metric: "kernel.page_unmap", system: SEL4, figure: 570.0 },
    Anchor { metric: "kernel.page_map.each_of_512", system: SEL4, figure: 626.0 },
    Anchor { metric: "kernel.cnode_copy", system: SEL4, figure: 730.0 },
    Anchor { metric: "kernel.cnode_delete", system: SEL4, figure: 699.0 },
    Anchor { metric: "kernel.retype.endpoint", system: SEL4, figure: 790.0 },
    Anchor { metric: "kernel.retype.tcb", system: SEL4, figure: 788.0 },
    Anchor { metric: "kernel.retype.page", system: SEL4, figure: 1198.0 },
    Anchor { metric: "kernel.call.null_capability", system: SEL4, figure: 427.0 },
    Anchor { metric: "kernel.nb_send.invalid_capability", system: SEL4, figure: 263.0 },
];

/// The anchor of a metric, where the report was taken on the machine that the anchors were taken on: the emulated one, with
/// instructions counted.
pub fn for_metric(report: &Report, metric: &str) -> Option<&'static Anchor> {
    let same = report.exact() && report.circumstance("board").as_deref() == Some("qemu-aarch64");
    ICOUNT.iter().find(|a| same && a.metric == metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_anchor_stands_for_a_metric_with_a_definition() {
        for anchor in ICOUNT {
            assert!(axiom_bench_metrics::definitions::of(anchor.metric).is_some(), "{}", anchor.metric);
        }
    }
}
