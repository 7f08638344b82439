extern crate std;
use super::*;
use proptest::prelude::*;
use std::vec::Vec;

/// Builds a blob from tokens, so that the tests need no compiler.
#[derive(Default)]
struct Builder {
    structure: Vec<u8>,
    strings: Vec<u8>,
}
impl Builder {
    fn begin(mut self, name: &str) -> Self {
        self.structure.extend(BEGIN_NODE.to_be_bytes());
        self.structure.extend(name.bytes().chain([0]));
        self.pad()
    }
    fn prop(mut self, name: &str, value: &[u8]) -> Self {
        self.structure.extend(PROP.to_be_bytes());
        self.structure.extend((value.len() as u32).to_be_bytes());
        self.structure.extend((self.strings.len() as u32).to_be_bytes());
        self.structure.extend(value);
        self.strings.extend(name.bytes().chain([0]));
        self.pad()
    }
    fn cells(self, name: &str, values: &[u32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_be_bytes()).collect();
        self.prop(name, &bytes)
    }
    fn end(mut self) -> Self {
        self.structure.extend(END_NODE.to_be_bytes());
        self
    }
    fn pad(mut self) -> Self {
        while !self.structure.len().is_multiple_of(4) {
            self.structure.push(0);
        }
        self
    }
    fn blob(mut self) -> Vec<u8> {
        self.structure.extend(9u32.to_be_bytes());
        let (s, t) = (self.structure.len() as u32, self.strings.len() as u32);
        let header = [MAGIC, 56 + s + t, 56, 56 + s, 40, 17, 16, 0, t, s];
        let mut out: Vec<u8> = header.iter().flat_map(|w| w.to_be_bytes()).collect();
        out.extend([0; 16]);
        out.extend(self.structure);
        out.extend(self.strings);
        out
    }
}

#[test]
fn what_lies_behind_a_bridge_is_found() {
    let blob = Builder::default()
        .begin("")
        .cells("#address-cells", &[2])
        .cells("#size-cells", &[2])
        .begin("axi")
        .cells("#address-cells", &[2])
        .cells("#size-cells", &[2])
        .cells("ranges", &[0x1c, 0, 0x1c, 0, 4, 0])
        .begin("pcie")
        .cells("#address-cells", &[3])
        .cells("#size-cells", &[2])
        .cells("ranges", &[0x0200_0000, 0, 0, 0x1f, 0, 0, 0xffff_fffc, 0x4300_0000, 4, 0, 0x1c, 0, 3, 0])
        .cells("msi-ranges", &[7, 0, 128, 1, 64])
        .cells("interrupt-map", &[0, 0, 0, 1, 7, 0, 229, 4, 0, 0, 0, 2, 7, 0, 230, 1])
        .end()
        .end()
        .end()
        .blob();
    let fdt = Fdt::new(&blob).unwrap();
    let pcie = fdt.at_path("/axi/pcie").unwrap();
    assert_eq!(pcie.window(0), Some((0x1f_0000_0000, 0xffff_fffc)));
    assert_eq!(pcie.window(1), Some((0x1c_0000_0000, 0x3_0000_0000)));
    assert_eq!(pcie.window(2), None);
    assert_eq!(pcie.pin_interrupt(0), Some((32 + 229, false)));
    assert_eq!(pcie.pin_interrupt(1), Some((32 + 230, true)));
    assert_eq!(pcie.pin_interrupt(2), None);
    assert_eq!(pcie.message_interrupts(), Some((32 + 128, true, 64)));
    assert_eq!(fdt.at_path("/axi").unwrap().message_interrupts(), None);
    assert_eq!(fdt.at_path("/axi").unwrap().pin_interrupt(0), None);
}

fn sample() -> Vec<u8> {
    Builder::default()
        .begin("")
        .cells("#address-cells", &[2])
        .cells("#size-cells", &[1])
        .begin("aliases")
        .prop("serial10", b"/soc/serial@7d001000\0")
        .end()
        .begin("soc")
        .cells("#address-cells", &[1])
        .cells("#size-cells", &[1])
        .cells("ranges", &[0x7c00_0000, 0x10, 0x7c00_0000, 0x0400_0000])
        .begin("serial@7d001000")
        .prop("compatible", b"arm,pl011\0arm,primecell\0")
        .cells("reg", &[0x7d00_1000, 0x200])
        .cells("interrupts", &[0, 121, 4])
        .end()
        .begin("off@1")
        .prop("compatible", b"arm,pl011\0")
        .prop("status", b"disabled\0")
        .end()
        .end()
        .end()
        .blob()
}

#[test]
fn addresses_are_translated_through_the_bus() {
    let blob = sample();
    let fdt = Fdt::new(&blob).unwrap();
    let uart = fdt.at_path("serial10").unwrap();
    assert_eq!(uart.reg(0), Some((0x10_7d00_1000, 0x200)));
    assert_eq!(uart.gic_interrupt(0), Some((153, false)));
    assert_eq!(fdt.compatible(&["arm,pl011"]).unwrap().name, "serial@7d001000");
    assert!(fdt.at_path("/soc/nothing").is_none() && fdt.at_path("nothing").is_none());
}

#[test]
fn every_truncation_is_survived() {
    let blob = sample();
    for length in 0..blob.len() {
        let _ = Fdt::new(&blob[..length]).map(|f| f.walk(|_| Walk::On));
    }
}

proptest! {
    #[test]
    fn damage_is_survived(changes in prop::collection::vec((0usize..500, any::<u8>()), 1..20)) {
        let mut blob = sample();
        let length = blob.len();
        for (at, value) in changes { blob[at % length] = value; }
        if let Ok(fdt) = Fdt::new(&blob) {
            let _ = fdt.walk(|n| { let _ = (n.reg(0), n.gic_interrupt(0), n.text("compatible"), n.u64("reg")); Walk::On });
            let _ = fdt.reservations().take(10).count();
        }
    }
}
