//! The devices that the kernel keeps, by their `compatible`: the kernel looks for them by these lists, and compose refuses by the same ones
//! to give them to a server. There is no second list (compose's test `the_kernels_devices_stand_in_one_list` looks for one).
//!
//! They are AArch64's. On x86-64 the kernel keeps the local APIC, the I/O APICs and the processor's counter; ACPI's tables have no name for
//! them that a manifest could say, and the kernel hands none of their pages out.

/// GICv3.
pub const GIC_V3: &[&str] = &["arm,gic-v3"];
/// GICv2.
pub const GIC_V2: &[&str] = &["arm,gic-400", "arm,cortex-a15-gic", "arm,cortex-a9-gic"];
/// The timers of the processors.
pub const TIMER: &[&str] = &["arm,armv8-timer"];
/// Firmware's calls.
pub const FIRMWARE: &[&str] = &["arm,psci-1.0", "arm,psci-0.2"];
/// All of these.
pub const ALL: [&[&str]; 4] = [GIC_V3, GIC_V2, TIMER, FIRMWARE];
/// How the names begin of which there are more than the kernel looks for: parts of a GIC, other versions, timers of other processors.
const FAMILIES: [&str; 4] = ["arm,gic", "arm,psci", "arm,armv7-timer", "arm,armv8-timer"];

/// Whether a device of this name is the kernel's.
pub fn keeps(compatible: &str) -> bool {
    let families = FAMILIES.iter().any(|family| compatible.starts_with(family));
    families || ALL.iter().any(|list| list.contains(&compatible))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_keeps_what_it_looks_for_and_its_like() {
        for name in ALL.iter().flat_map(|list| list.iter()) {
            assert!(keeps(name), "{name}");
        }
        for name in ["arm,gic-v3-its", "arm,gic-v2m-frame", "arm,psci", "arm,armv7-timer-mem"] {
            assert!(keeps(name), "{name}");
        }
        for name in ["", "arm,pl011", "arm,pl061", "arm,cortex-a15-pmu", "arm,armv7m-systick", "x,arm,gic-v3"]
        {
            assert!(!keeps(name), "{name}");
        }
    }
}
