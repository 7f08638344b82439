//! Which redistributor of a GICv3 belongs to this core (Arm IHI 0069, 12.11.34 GICR_TYPER).
//!
//! A redistributor holds the core's own interrupts, its timer's among them. Their order is the chip maker's, and any core may
//! have been started first, so the affinity that each one states is compared with the core's own.

/// Bytes of a redistributor: a page of 64 KiB for itself and one for its interrupts.
pub const FRAME: u64 = 0x2_0000;
/// With direct injection of virtual interrupts (GICv4) two more pages follow.
const FRAME_V4: u64 = 0x4_0000;
/// Offset of GICR_TYPER.
pub const TYPER: u64 = 8;
const TYPER_VLPIS: u64 = 1 << 1;
const TYPER_LAST: u64 = 1 << 4;

/// The affinity fields of an MPIDR_EL1, as GICR_TYPER's upper half has them.
pub fn affinity(mpidr: u64) -> u64 {
    (mpidr >> 32 & 0xff) << 24 | mpidr & 0xff_ffff
}

/// Looks for the redistributor with `affinity` in a region of `size` bytes, of which `typer(offset)` reads the GICR_TYPER of the
/// redistributor at an offset. `stride` is the tree's `redistributor-stride`. `Ok` with its offset, or `Err` with how many were
/// looked at.
pub fn redistributor(
    affinity: u64,
    size: u64,
    stride: Option<u64>,
    mut typer: impl FnMut(u64) -> u64,
) -> Result<u64, usize> {
    let (mut at, mut seen) = (0u64, 0);
    while at.checked_add(FRAME).is_some_and(|end| end <= size) {
        let value = typer(at);
        if value >> 32 == affinity {
            return Ok(at);
        }
        seen += 1;
        if value & TYPER_LAST != 0 {
            break;
        }
        let own = if value & TYPER_VLPIS != 0 { FRAME_V4 } else { FRAME };
        // A stride shorter than a frame would walk through the frame's own registers.
        at = at.saturating_add(stride.filter(|s| *s >= FRAME).unwrap_or(own));
    }
    Err(seen)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// A region of redistributors: affinity, other bits of GICR_TYPER, bytes of each.
    struct Region(Vec<(u64, u64, u64)>);
    impl Region {
        fn find(&self, affinity: u64, size: u64, stride: Option<u64>) -> Result<u64, usize> {
            redistributor(affinity, size, stride, |offset| {
                let mut at = 0;
                for (affinity, bits, bytes) in &self.0 {
                    if at == offset {
                        return affinity << 32 | bits;
                    }
                    at += bytes;
                }
                panic!("{offset:#x} is not the start of a redistributor");
            })
        }
    }

    #[test]
    fn the_redistributor_is_the_one_with_the_cores_affinity() {
        let four = Region((0..4).map(|i| (i, if i == 3 { TYPER_LAST } else { 0 }, FRAME)).collect());
        for core in 0..4 {
            assert_eq!(four.find(affinity(0x8000_0000 | core), 4 * FRAME, None), Ok(core * FRAME));
        }
        assert_eq!(four.find(4, 100 * FRAME, None), Err(4));
        // The region's end counts, too, also in the middle of one.
        assert_eq!(four.find(3, 3 * FRAME, None), Err(3));
        assert_eq!(four.find(3, 4 * FRAME - 1, None), Err(3));
        assert_eq!(four.find(0, 0, None), Err(0));
    }

    #[test]
    fn affinity_has_four_levels_and_no_other_bits() {
        assert_eq!(affinity(0x81_c302_0100 | 0x12_0000_0000_0000), 0x8102_0100);
        let clusters =
            Region(std::vec![(0x100, 0, FRAME), (0x0100_0000, 0, FRAME), (0x1, TYPER_LAST, FRAME)]);
        assert_eq!(clusters.find(affinity(0x1_8000_0000), 3 * FRAME, None), Ok(FRAME));
        assert_eq!(clusters.find(affinity(0x8000_0001), 3 * FRAME, None), Ok(2 * FRAME));
    }

    #[test]
    fn redistributors_of_a_gicv4_are_longer_and_a_stride_overrides_both() {
        let mixed = Region(std::vec![(7, TYPER_VLPIS, FRAME_V4), (8, 0, FRAME), (9, TYPER_LAST, FRAME)]);
        assert_eq!(mixed.find(9, FRAME_V4 + 2 * FRAME, None), Ok(FRAME_V4 + FRAME));
        let wide = Region(std::vec![(7, 0, 0x8_0000), (8, TYPER_VLPIS, 0x8_0000), (9, TYPER_LAST, 0x8_0000)]);
        assert_eq!(wide.find(9, 0x18_0000, Some(0x8_0000)), Ok(0x10_0000));
        // A stride that makes no sense is not followed.
        assert_eq!(mixed.find(9, FRAME_V4 + 2 * FRAME, Some(8)), Ok(FRAME_V4 + FRAME));
    }

    #[test]
    fn a_stride_up_to_the_end_of_the_address_space_ends_the_walk() {
        let one = Region(std::vec![(7, 0, FRAME)]);
        assert_eq!(one.find(9, FRAME, Some(u64::MAX)), Err(1));
        assert_eq!(redistributor(9, u64::MAX, Some(u64::MAX), |_| 0), Err(1));
    }
}
