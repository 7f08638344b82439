//! What a processor says of storing its floating-point and vector registers, and what a kernel should use of it.
//!
//! XSAVE stores what XCR0 names, in an area whose size the processor tells; a thread's area here is for x87, SSE and AVX and no more. A
//! processor whose answers are not those of the manuals (Intel SDM volume 1, chapter 13) is given less, down to FXSAVE, which
//! all processors of 64 bits have: an area that is larger than its thread's would be a write over something else.

/// Component of XCR0: x87.
pub const X87: u32 = 1;
/// Component of XCR0: SSE's registers.
pub const SSE: u32 = 1 << 1;
/// Component of XCR0: the upper halves of AVX's registers.
pub const AVX: u32 = 1 << 2;

/// Bytes that FXSAVE stores.
pub const FXSAVE_BYTES: u32 = 512;
/// Bytes of an area with x87 and SSE: FXSAVE's, and a header of 64.
const LEGACY_BYTES: u32 = FXSAVE_BYTES + 64;
/// Bytes of the upper halves.
const AVX_BYTES: u32 = 256;
/// Bytes of a thread's area: what XSAVE stores at most.
pub const AREA: u32 = LEGACY_BYTES + AVX_BYTES;

/// What CPUID holds; zero for what is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// Leaf 1, ecx.
    pub basic_ecx: u32,
    /// Leaf 1, edx.
    pub basic_edx: u32,
    /// Leaf 0xd, eax: what XCR0 may have.
    pub components: u32,
    /// Leaf 0xd, part 1, eax.
    pub variants: u32,
    /// Leaf 0xd, part 2: bytes of AVX's component, and where they begin.
    pub avx: (u32, u32),
}

const FXSR: u32 = 1 << 24;
const HAS_SSE: u32 = 1 << 25;
const XSAVE: u32 = 1 << 26;
const HAS_AVX: u32 = 1 << 28;
const XSAVEOPT: u32 = 1;

/// Which instructions store and load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// FXSAVE and FXRSTOR.
    Fxsave,
    /// XSAVE and XRSTOR.
    Xsave,
    /// XSAVEOPT and XRSTOR.
    Xsaveopt,
}

impl Instructions {
    /// What a line says.
    pub const fn name(self) -> &'static str {
        match self {
            Instructions::Fxsave => "fxsave",
            Instructions::Xsave => "xsave",
            Instructions::Xsaveopt => "xsaveopt",
        }
    }
}

/// What of the processor is left unused, because it says something of it that cannot be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strange {
    /// XSAVE without x87 and SSE among its components: what there is.
    Components(u32),
    /// AVX's component has another size, or lies elsewhere: bytes, and where they begin.
    Avx(u32, u32),
    /// An area of another size than its components need: bytes, components.
    Size(u32, u32),
}

/// What is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saving {
    /// The instructions.
    pub instructions: Instructions,
    /// The components: XCR0, where that is there.
    pub components: u32,
    /// Bytes that are stored.
    pub bytes: u32,
    /// Why it is less than the processor announces.
    pub strange: Option<Strange>,
}

impl Saving {
    /// What a line calls the registers.
    pub const fn registers(&self) -> &'static str {
        if self.components & AVX != 0 { "x87/sse/avx" } else { "x87/sse" }
    }
}

impl Announced {
    /// What is to be used, if there is anything: `set` puts components that the processor has into XCR0, and answers how many
    /// bytes its area then has by leaf 0xd. What it was given last is what holds.
    pub fn saving(&self, mut set: impl FnMut(u32) -> u32) -> Option<Saving> {
        if self.basic_edx & (FXSR | HAS_SSE) != FXSR | HAS_SSE {
            return None;
        }
        let mut strange = None;
        if self.basic_ecx & XSAVE != 0 {
            let instructions =
                if self.variants & XSAVEOPT != 0 { Instructions::Xsaveopt } else { Instructions::Xsave };
            if self.components & (X87 | SSE) != X87 | SSE {
                strange = Some(Strange::Components(self.components));
            } else {
                let has_avx = self.basic_ecx & HAS_AVX != 0 && self.components & AVX != 0;
                let avx = has_avx && self.avx == (AVX_BYTES, LEGACY_BYTES);
                if has_avx && !avx {
                    strange = Some(Strange::Avx(self.avx.0, self.avx.1));
                }
                for (there, components, bytes) in
                    [(avx, X87 | SSE | AVX, AREA), (true, X87 | SSE, LEGACY_BYTES)]
                {
                    if !there {
                        continue;
                    }
                    let told = set(components);
                    if told == bytes {
                        return Some(Saving { instructions, components, bytes, strange });
                    }
                    strange = Some(Strange::Size(told, components));
                }
            }
        }
        Some(Saving {
            instructions: Instructions::Fxsave,
            components: X87 | SSE,
            bytes: FXSAVE_BYTES,
            strange,
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    const SIZES: [u32; 9] = [0, 512, 575, 576, 577, 831, 832, 2696, u32::MAX];

    /// All that such a processor can say, and more: judged by what the manuals demand of whoever sets XCR0, not by the code's order.
    #[test]
    fn every_processor_is_given_what_its_area_holds() {
        let mut seen = [[0; 2]; 3];
        let mut odd = 0;
        for world in 0..1u32 << 5 {
            let bit = |i: u32, mask: u32| if world >> i & 1 != 0 { mask } else { 0 };
            for components in [0, 1, 2, 3, 4, 5, 6, 7, 0x21f, 0x2e7, 0x602e7, u32::MAX] {
                for avx in [(0, 0), (256, 576), (256, 832), (512, 576), (255, 576), (u32::MAX, 576)] {
                    for (three, seven) in SIZES.into_iter().flat_map(|a| SIZES.map(|b| (a, b))) {
                        let announced = Announced {
                            basic_ecx: bit(0, 1 << 26) | bit(1, 1 << 28),
                            basic_edx: bit(2, 1 << 24) | bit(3, 1 << 25),
                            components,
                            variants: bit(4, 1) | 0b1110,
                            avx,
                        };
                        let mut calls = Vec::new();
                        let saving = announced.saving(|components| {
                            calls.push(components);
                            match components {
                                3 => three,
                                7 => seven,
                                other => panic!("XCR0 = {other:#x} is none of ours"),
                            }
                        });
                        let case = (announced, three, seven);
                        let [xsave, avx_bit, fxsr, sse, opt] = [0, 1, 2, 3, 4].map(|i| world >> i & 1 != 0);
                        // XSETBV faults for what is not announced, and where there is no XSAVE.
                        assert!(calls.iter().all(|set| xsave && set & !components == 0), "{case:x?}");
                        assert!(calls.iter().all(|set| set & AVX == 0 || avx_bit), "{case:x?}");
                        let Some(saving) = saving else {
                            assert!(!(fxsr && sse) && calls.is_empty(), "{case:x?}");
                            continue;
                        };
                        assert!(fxsr && sse, "{case:x?}");
                        assert!(saving.bytes <= AREA, "{case:x?}");
                        let good_avx = avx_bit && components & 7 == 7 && avx == (256, 576) && seven == 832;
                        let good_legacy = components & 3 == 3 && three == 576;
                        let expected = match (xsave, good_avx, good_legacy) {
                            (true, true, _) => (7, 832),
                            (true, false, true) => (3, 576),
                            _ => (3, 512),
                        };
                        assert_eq!((saving.components, saving.bytes), expected, "{case:x?}");
                        let uses = saving.instructions != Instructions::Fxsave;
                        assert_eq!(uses, saving.bytes > 512, "{case:x?}");
                        assert_eq!(saving.instructions == Instructions::Xsaveopt, uses && opt, "{case:x?}");
                        if uses {
                            assert_eq!(
                                calls.last(),
                                Some(&saving.components),
                                "what holds is what is stored: {case:x?}"
                            );
                        }
                        // Nothing that was announced is left out in silence.
                        let offered = if !xsave {
                            512
                        } else if avx_bit && components & 7 == 7 {
                            832
                        } else {
                            576
                        };
                        assert_eq!(saving.strange.is_some(), saving.bytes < offered, "{case:x?} {saving:?}");
                        seen[saving.instructions as usize][usize::from(saving.components & AVX != 0)] += 1;
                        odd += u32::from(saving.strange.is_some());
                    }
                }
            }
        }
        assert!(
            seen[0][0] > 1000 && seen[1][0] > 100 && seen[1][1] > 20 && seen[2][0] > 100 && seen[2][1] > 20,
            "{seen:?}"
        );
        assert!(odd > 1000);
    }

    #[test]
    fn lines_name_what_is_used() {
        let announced = Announced {
            basic_ecx: XSAVE | HAS_AVX,
            basic_edx: FXSR | HAS_SSE,
            components: 0x21f,
            variants: XSAVEOPT,
            avx: (256, 576),
        };
        let saving = announced.saving(|_| AREA).unwrap();
        assert_eq!(
            (saving.instructions.name(), saving.registers(), saving.bytes),
            ("xsaveopt", "x87/sse/avx", 832)
        );
        let saving =
            Announced { variants: 0, ..announced }.saving(|set| if set == 3 { 576 } else { 1088 }).unwrap();
        assert_eq!((saving.instructions.name(), saving.registers()), ("xsave", "x87/sse"));
        assert_eq!(saving.strange, Some(Strange::Size(1088, 7)));
        let saving = Announced { basic_ecx: 0, ..announced }.saving(|_| panic!("there is no XCR0")).unwrap();
        assert_eq!(
            (saving.instructions.name(), saving.registers(), saving.strange),
            ("fxsave", "x87/sse", None)
        );
    }
}
