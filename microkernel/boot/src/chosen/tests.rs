extern crate std;
use super::*;
use axiom_fdt::writer::Builder;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

/// Two PL011, the first disabled, and something else; `/chosen` as the test wants it.
fn tree(chosen: impl FnOnce(Builder) -> Builder) -> Vec<u8> {
    let uart = |b: Builder, name: &str, reg: &[u32]| {
        b.begin(name).prop("compatible", b"arm,pl011\0arm,primecell\0").cells("reg", reg)
    };
    let b = Builder::default().begin("").cells("#address-cells", &[1]).cells("#size-cells", &[1]);
    let b = chosen(b.begin("chosen")).end();
    let b = uart(b, "off@1000", &[0x1000, 0x1000]).text("status", "disabled").end();
    let b = uart(b, "nowhere", &[]).end();
    let b = uart(b, "on@2000", &[0x2000, 0x800]).end();
    let b = uart(b, "other@3000", &[0x3000, 0x1000]).text("status", "okay").end();
    b.begin("rtc@4000").text("compatible", "arm,pl031").cells("reg", &[0x4000, 0x1000]).end().end().blob()
}

fn console_of(stdout: Option<&str>) -> (u64, String) {
    let blob = tree(|b| match stdout {
        Some(path) => b.text("stdout-path", path),
        None => b,
    });
    let console = console(&Fdt::new(&blob).unwrap()).unwrap();
    (console.base, console.instead.map_or(String::new(), |why| format!("{why}; {}", console.path)))
}

#[test]
fn the_console_is_the_named_one() {
    assert_eq!(console_of(Some("/other@3000:115200n8")), (0x3000, String::new()));
    assert_eq!(console_of(Some("/on@2000")), (0x2000, String::new()));
}

#[test]
fn a_fall_back_says_why_and_what() {
    let said = |stdout| {
        let (base, said) = console_of(stdout);
        assert_eq!(base, 0x2000, "{said}");
        said
    };
    assert_eq!(said(None), "/chosen has no stdout-path; /on@2000");
    assert_eq!(said(Some("/off@1000")), "stdout-path names /off@1000, which is disabled; /on@2000");
    assert_eq!(said(Some("/gone@1:9600")), "stdout-path names /gone@1, which is not there; /on@2000");
    assert_eq!(said(Some("/rtc@4000")), "stdout-path names /rtc@4000, which is not an arm,pl011; /on@2000");
    assert_eq!(
        said(Some("/nowhere")),
        "stdout-path names /nowhere, whose registers have no address for the processor; /on@2000"
    );
}

#[test]
fn names_are_printable_and_have_a_limit() {
    assert_eq!(Name::text("/a b\n\u{e9}c").to_string(), "/a b???c");
    assert_eq!(format!("{:?}", Name::text("/a")), "\"/a\"");
    let long = "x".repeat(Name::LENGTH + 9);
    assert_eq!(Name::text(&long).to_string(), long[..Name::LENGTH]);
}

#[test]
fn without_any_uart_there_is_no_console() {
    let blob = Builder::default().begin("").begin("chosen").text("stdout-path", "/a").end().end().blob();
    assert_eq!(console(&Fdt::new(&blob).unwrap()), None);
}

fn disk(chosen: impl FnOnce(Builder) -> Builder) -> Result<(u64, u64), String> {
    let blob = tree(chosen);
    initrd(&Fdt::new(&blob).unwrap()).map_err(|refusal| refusal.to_string())
}

#[test]
fn the_disks_bounds_have_one_or_two_cells() {
    assert_eq!(
        disk(|b| b.cells(START, &[0x4800_0000]).cells(END, &[1, 2])),
        Ok((0x4800_0000, 0x1_0000_0002))
    );
    // Looks like text, and is an address.
    assert_eq!(disk(|b| b.prop(START, b"HA0\0").prop(END, b"HA1\0")), Ok((0x4841_3000, 0x4841_3100)));
}

#[test]
fn a_wrong_disk_is_told_as_what_it_is() {
    let refused = |chosen: &dyn Fn(Builder) -> Builder| disk(chosen).unwrap_err();
    assert!(refused(&|b| b).starts_with("no initial RAM disk: /chosen has no linux,initrd-start and -end."));
    assert_eq!(
        refused(&|b| b.cells(START, &[1])),
        "the initial RAM disk has no linux,initrd-end: /chosen has linux,initrd-start alone; whoever writes one writes both"
    );
    assert!(refused(&|b| b.cells(END, &[1])).starts_with("the initial RAM disk has no linux,initrd-start:"));
    for end in [0x4700_0000, 0x4800_0000] {
        assert_eq!(
            refused(&|b| b.cells(START, &[0x4800_0000]).cells(END, &[end])),
            format!(
                "the initial RAM disk ends ({end:#x}) before it starts (0x48000000), or has no byte: linux,initrd-end is the first \
                     byte behind it"
            )
        );
    }
    assert!(refused(&|b| b.cells(START, &[1]).text(END, "0x48000000")).starts_with(
        "the initial RAM disk's linux,initrd-end in /chosen is the text \"0x48000000\"; it is a number"
    ));
    assert!(refused(&|b| b.text(START, "0x48000").cells(END, &[1])).contains("is the text \"0x48000\""));
    assert!(
        refused(&|b| b.prop(START, &[]).cells(END, &[1]))
            .contains("linux,initrd-start in /chosen has 0 bytes")
    );
    assert!(
        refused(&|b| b.cells(START, &[0, 0, 1]).cells(END, &[1])).contains("has 12 bytes; it is a number")
    );
    assert!(refused(&|b| b.prop(START, &[0]).cells(END, &[1])).contains("has 1 bytes"));
    // Not printable, so not text.
    assert!(refused(&|b| b.prop(START, b"a\nb\0\0").cells(END, &[1])).contains("has 5 bytes"));
}

#[test]
fn a_disk_may_touch_but_not_overlap() {
    let over = |disk| apart(disk, "the device tree", (0x2000, 0x3000));
    for good in [(0x1000, 0x2000), (0x3000, 0x4000), (0x2000, 0x2000)] {
        assert_eq!(over(good), Ok(()));
    }
    for bad in [(0x1000, 0x2001), (0x2fff, 0x4000), (0x2400, 0x2500), (0, 0x9000), (0x2000, 0x3000)] {
        assert_eq!(over(bad), Err(Refusal::DiskOver(bad.0, bad.1, "the device tree", 0x2000, 0x3000)));
    }
    assert_eq!(
        over((0x1000, 0x2001)).unwrap_err().to_string(),
        "the initial RAM disk (0x1000 to 0x2001) lies over the device tree (0x2000 to 0x3000); load it elsewhere"
    );
}
