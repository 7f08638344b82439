//! Every refusal, with the smallest manifest that earns it. A fixture begins with the whole text of its errors, in lines
//! `#= ...` (paths are cut down to file names); `BLESS=1 cargo test -p axiom-compose` writes them anew, to be read before a commit.
use axiom_compose::{Options, compose};
use std::path::{Path, PathBuf};

/// A program header: type, flags, address, bytes in the file.
type Header = (u32, u32, u64, &'static [u8]);
const CODE: Header = (1, 5, 0x20_0000, b"code");

/// What axiom-heap puts into an image, after a note of somebody else's.
const HEAP_NOTE: &[u8] = b"\x04\0\0\0\x02\0\0\0\x01\0\0\0GNU\0??\0\0\x06\0\0\0\0\0\0\0heapAxiom\0\0\0";

/// The same kind of note by two others: one with a name as long, one whose name begins alike.
const OTHERS_NOTES: &[u8] = b"\x06\0\0\0\0\0\0\0heapAxiam\0\0\0\x07\0\0\0\0\0\0\0heapAxiom\0s\0";

/// A small ELF that says what its program takes.
fn says(takes: &str) -> Vec<u8> {
    let mut note = [6u32, takes.len() as u32].map(u32::to_le_bytes).concat();
    note.extend(b"takeAxiom\0\0\0");
    note.extend(takes.as_bytes());
    elf(183, 2, CODE.2, &[CODE, (4, 4, 0x20_1000, note.leak())])
}

/// A small ELF.
fn elf(machine: u16, kind: u16, entry: u64, headers: &[Header]) -> Vec<u8> {
    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    out.extend(kind.to_le_bytes());
    out.extend(machine.to_le_bytes());
    out.extend(1u32.to_le_bytes());
    for word in [entry, 64, 0] {
        out.extend(word.to_le_bytes());
    }
    out.extend(0u32.to_le_bytes());
    for half in [64, 56, headers.len() as u16, 64, 0, 0] {
        out.extend(half.to_le_bytes());
    }
    let mut offset = 64 + 56 * headers.len() as u64;
    for (kind, flags, vaddr, bytes) in headers {
        out.extend(kind.to_le_bytes());
        out.extend(flags.to_le_bytes());
        for word in [offset, *vaddr, *vaddr, bytes.len() as u64, bytes.len() as u64, 1] {
            out.extend(word.to_le_bytes());
        }
        offset += bytes.len() as u64;
    }
    headers.iter().for_each(|h| out.extend_from_slice(h.3));
    out
}

/// Folders with images of every kind, and a file.
struct World(PathBuf);

impl World {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("axiom-compose-{}-{name}", std::process::id()));
        std::fs::create_dir_all(dir.join("images")).unwrap();
        std::fs::create_dir_all(dir.join("blobs")).unwrap();
        let start = CODE.2;
        let good =
            elf(183, 2, start, &[CODE, (1, 6, 0x20_1000, b"data"), (1, 4, 0x20_3ff8, b"read-only data")]);
        let mut cut = good.clone();
        cut.truncate(good.len() - 4);
        // Its first segment has a byte less in memory than in the file.
        let mut less = good.clone();
        less[64 + 40] -= 1;
        for (name, bytes) in [
            // Its source fills in the names of its drivers.
            (
                "axiom-iio-server",
                says(concat!(
                    include_str!("../../../../drivers/iio/server/takes.toml"),
                    "chip = [\"adxl345\", \"lm75\", \"bme280\"]\nfixed = [\"shtc3\"]\n[usual]\nlm75 = 0x48"
                )),
            ),
            ("axiom-watchdog-server", says(include_str!("../../../../drivers/watchdog/server/takes.toml"))),
            ("axiom-demo", says(include_str!("../../../../servers/demo/takes.toml"))),
            ("axiom-rp1-server", says(include_str!("../../../../drivers/rp1/server/takes.toml"))),
            ("axiom-timer-server", says(include_str!("../../../../drivers/timer/takes.toml"))),
            ("axiom-gpio-server", says(include_str!("../../../../drivers/gpio/server/takes.toml"))),
            ("axiom-console", says(include_str!("../../../../servers/console/takes.toml"))),
            ("takes-nothing", says("")),
            ("without-sense", says("serves = [\"ioi\"]")),
            ("cut-in-its-header", good[..63].to_vec()),
            ("less-memory", less),
            ("good", good),
            ("allocates", elf(183, 2, start, &[CODE, (4, 4, 0x20_1000, HEAP_NOTE)])),
            (
                "others-notes",
                elf(183, 2, start, &[CODE, (4, 4, 0x20_1000, OTHERS_NOTES), (1, 6, 0x30_0000, b"")]),
            ),
            ("truncated", cut),
            ("text-file", b"#!/bin/sh\n".to_vec()),
            ("for-x86", elf(62, 2, start, &[CODE])),
            ("for-riscv", elf(243, 2, start, &[CODE])),
            ("relocatable", elf(183, 1, start, &[CODE])),
            ("dynamic", elf(183, 2, start, &[CODE, (3, 4, 0x20_1000, b"/lib/ld.so")])),
            ("write-and-execute", elf(183, 2, start, &[(1, 7, 0x20_0000, b"code")])),
            ("shared-page", elf(183, 2, start, &[CODE, (1, 6, 0x20_0800, b"data")])),
            ("too-low", elf(183, 2, 0x1000, &[(1, 5, 0x1000, b"code")])),
            ("no-entry", elf(183, 2, 0x20_2000, &[CODE])),
            ("init", elf(183, 2, 0x40_0000, &[(1, 5, 0x40_0000, b"init"), (1, 6, 0x40_1000, b"data")])),
        ] {
            std::fs::write(dir.join("images").join(name), bytes).unwrap();
        }
        std::fs::write(dir.join("blobs/iio_filter.o"), [7; 5000]).unwrap();
        // A hole on the disk: as large as a server's files may be together, less the page that each takes.
        let most = std::fs::File::create(dir.join("blobs/just-fits")).unwrap();
        most.set_len(axiom_layout::address::FILES_BYTES - 4096).unwrap();
        Self(dir)
    }

    fn options(&self, manifest: PathBuf) -> Options {
        Options {
            manifest,
            images: vec![self.0.join("images")],
            blobs: vec![self.0.join("blobs")],
            init: "init".into(),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/refusals")
}

#[test]
fn every_mistake_is_named_with_place_rule_and_advice() {
    let world = World::new("refusals");
    let mut names: Vec<PathBuf> = std::fs::read_dir(fixtures()).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    assert!(names.len() > 40, "the fixtures are not all there: {}", names.len());
    for path in names {
        let text = std::fs::read_to_string(&path).unwrap();
        let errors = match compose(&world.options(path.clone())) {
            Ok(_) => panic!("{} is accepted", path.display()),
            Err(errors) => errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        };
        let said = errors
            .replace(&format!("{}/", fixtures().display()), "")
            .replace(&format!("{}/", world.0.display()), "");
        if std::env::var_os("BLESS").is_some() {
            let lines = said.lines().count();
            let old = text.lines().filter(|l| l.starts_with("#=")).count();
            // Line numbers in the errors move with the header.
            let shifted = said.split('\n').map(|line| shift(line, lines as isize - old as isize));
            let header: String = shifted.map(|l| format!("#= {l}\n")).collect();
            let body: String =
                text.lines().filter(|l| !l.starts_with("#=")).map(|l| format!("{l}\n")).collect();
            std::fs::write(&path, header + &body).unwrap();
            continue;
        }
        let expected: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("#= ")).collect();
        assert_eq!(said, expected.join("\n"), "{}", path.display());
    }
}

/// Moves the line numbers (`.toml:12:` and `.toml:12)`) of an error.
fn shift(line: &str, by: isize) -> String {
    let mut parts = line.split(".toml:");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.chars().take_while(char::is_ascii_digit).count();
        let number: isize = part[..digits].parse().unwrap();
        out += &format!(".toml:{}{}", number + by, &part[digits..]);
    }
    out
}

#[test]
fn a_good_manifest_becomes_a_bundle_that_init_can_read() {
    let world = World::new("good");
    let manifest = world.0.join("system.toml");
    let text = r#"
[system]
name = "small"
board = "qemu-aarch64"
[server.demo]
image = "good"
priority = 10
budget_us = 100
period_us = 1000
calls = ["console"]
blobs = ["iio_filter.o"]
args = { rate = 100, mode = "fast" }
[server.console]
image = "good"
priority = 200
budget_us = 100
period_us = 1000
clients = ["demo"]
devices = [{ name = "uart", compatible = "arm,pl011" }]
restart = { max = 3 }
"#;
    std::fs::write(&manifest, text).unwrap();
    let composed = compose(&world.options(manifest.clone())).unwrap_or_else(|e| panic!("{}", e[0]));
    // The highest priority starts first.
    let [console, demo] = composed.system.servers.as_slice() else { panic!("two servers") };
    assert_eq!(
        (console.name.as_str(), demo.name.as_str(), demo.calls.as_slice()),
        ("console", "demo", &[0u16][..])
    );
    assert_eq!(demo.args, [("mode".to_owned(), "fast".to_owned()), ("rate".to_owned(), "100".to_owned())]);
    assert_eq!(demo.segments, console.segments, "one image is stored once");

    // The payload is the last segment of the ELF, on a page of the file, and decodes to the same system.
    let elf = &composed.elf;
    let word = |at: usize| u64::from_le_bytes(elf[at..at + 8].try_into().unwrap());
    let last = 64 + 56 * (u16::from_le_bytes([elf[56], elf[57]]) as usize - 1);
    let (offset, vaddr, size) = (word(last + 8) as usize, word(last + 16), word(last + 32) as usize);
    assert_eq!((offset % 4096, vaddr, size, elf.len() % 4096), (0, 0x1000_0000, composed.payload_bytes, 0));
    let payload = &elf[offset..offset + size];
    assert_eq!(&payload[..16], b"AXIOM BUNDLE 1\n\0");
    let length = u32::from_le_bytes(payload[16..20].try_into().unwrap()) as usize;
    let system: axiom_proto::bundle::System = postcard::from_bytes(&payload[24..24 + length]).unwrap();
    assert_eq!(system, composed.system);
    let blob = &demo.blobs[0];
    assert_eq!(&payload[blob.offset as usize..][..blob.len as usize], [7; 5000]);
    // A segment that starts inside a page is moved back to its start.
    let moved = demo.segments.iter().find(|s| s.vaddr == 0x20_3000).unwrap();
    assert_eq!(&payload[moved.offset as usize + 0xff8..][..14], b"read-only data");
    assert!(demo.segments.iter().all(|s| s.offset % 4096 == 0 && !(s.write && s.execute)));

    let report = axiom_compose::report::markdown(&composed);
    assert!(report.contains("| console | 200 | 10.0 % | - | demo | uart | restarted 3 times |"), "{report}");
    assert!(report.contains("| file iio_filter.o | r-- | 5000 bytes |"), "{report}");
    assert!(
        axiom_compose::report::json(&composed).contains("\"is called by\"")
            || report.contains("is called by")
    );

    // Lines, programs and motors: names become numbers, and the report says who may do what.
    let pins = world.0.join("pins.toml");
    let text = r#"
extends = "system.toml"
[server.console]
gpio_chips = ["first", "second"]
pwm_chips = ["pwm"]
[server.demo]
gpio = [{ chip = "second", line = 7, out = true }]
motor_rearm = true
[program.blink]
object = "iio_filter.o"
owner = "demo"
pinned_at = "gpio/first/3/rising"
gpio = [{ chip = "first", line = 3 }]
pwm = [{ chip = "pwm", channel = 1 }]
motor_stop = true
[motor.belt]
gpio = [{ chip = "second", line = 7, stop = 1 }]
pwm = [{ chip = "pwm", channel = 1 }]
"#;
    std::fs::write(&pins, text).unwrap();
    let composed = compose(&world.options(pins)).unwrap_or_else(|e| panic!("{}", e[0]));
    let rights = &composed.rights;
    let line = |chip, line| axiom_proto::gpio::Line { chip, line };
    // What init passes on is what the owner of the chips reads.
    let grant = &composed.system.servers[1].grants[0];
    let demo: axiom_proto::gpio::Grants = postcard::from_bytes(&grant.bytes).unwrap();
    assert_eq!((grant.at, grant.interface), (0, axiom_proto::gpio::INTERFACE));
    assert!(demo.may_set(line(1, 7)) && !demo.may_get(line(0, 7)));
    let owned = &composed.system.servers[0].parts[0];
    let outputs: axiom_proto::gpio::Outputs = postcard::from_bytes(&owned.bytes).unwrap();
    assert_eq!(outputs.gpio_chips.iter().collect::<Vec<_>>(), ["first", "second"]);
    assert_eq!(outputs.motors.first().unwrap().gpio.iter().collect::<Vec<_>>(), [(line(1, 7), true)]);
    let blink = &rights.programs[0];
    assert!(blink.grants.may_get(line(0, 3)) && !blink.grants.may_set(line(0, 3)) && blink.grants.motor_stop);
    assert_eq!(rights.motors[0].gpio, [(line(1, 7), true)]);
    let report = axiom_compose::report::markdown(&composed);
    for expected in [
        "| server demo | read and drive line 7 of chip 'second', rearm the motors | by message |",
        "| program blink of iio_filter.o | read line 3 of chip 'first', drive channel 1 of chip 'pwm', stop the motors | by helper at gpio/first/3/rising, always; only demo may replace or remove it |",
        "| motor belt | line 7 of second at 1, channel 1 of pwm at 0 | until it is rearmed |",
    ] {
        assert!(report.contains(expected), "{report}");
    }

    // A manifest can start from another and change little.
    let test = world.0.join("test.toml");
    std::fs::write(&test, "extends = \"system.toml\"\n[server.demo.args]\nrate = 1\n").unwrap();
    let changed = compose(&world.options(test)).unwrap_or_else(|e| panic!("{}", e[0]));
    assert_eq!(
        changed.system.servers[1].args,
        [("mode".to_owned(), "fast".to_owned()), ("rate".to_owned(), "1".to_owned())]
    );
}

#[test]
fn the_report_says_who_reaches_all_memory_and_which_pins_have_two_masters() {
    let world = World::new("reach");
    let manifest = world.0.join("system.toml");
    let server = |name: &str, priority: u8, more: &str| {
        format!(
            "[server.{name}]\nimage = \"good\"\npriority = {priority}\nbudget_us = 100\nperiod_us = 10000\n{more}\n"
        )
    };
    let text = "[system]\nname = \"x\"\nboard = \"y\"\n".to_owned()
        + &server("bridge", 90, "devices = [{ name = \"pcie\", compatible = \"a,pcie\", ranges = true }]")
        + &server("lines", 80, "gpio_chips = [\"rp1\"]\nrp1 = [\"gpio\"]\ncalls = [\"bridge\"]")
        + &server(
            "bus",
            70,
            "rp1 = [\"i2c1\"]\ncalls = [\"bridge\"]\ndma_kib = 4\ndevices = [{ name = \"net\", compatible = \"a,net\" }]",
        )
        + &server(
            "clock",
            65,
            "devices = [{ name = \"hpet\", compatible = \"pnp,0103\" }, { name = \"gpu\", compatible = \"pci1234,5678\" }]",
        )
        + &server(
            "user",
            60,
            "gpio = [{ chip = \"rp1\", line = 3, out = true }, { chip = \"rp1\", line = 4 }]\ncalls = [\"lines\"]\nends_run = true",
        );
    std::fs::write(&manifest, text).unwrap();
    let composed = compose(&world.options(manifest)).unwrap_or_else(|e| panic!("{}", e[0]));
    let report = axiom_compose::report::markdown(&composed);
    for expected in [
        "| server bridge | **all memory** | by what lies behind pcie |",
        "| server bus | **all memory** | by net, whose addresses it writes |",
        "| server clock | **all memory** | by gpu, which is master of its bus while the server lives |",
        "| server clock | **all memory** | by hpet, whose comparators may store words (FSB) where the chipset has that |",
        "| line 3 of rp1 | server user: read and drive | bus opens i2c1, which is switched to the same pin |",
        "| the run | end | **says whether it was a success** |",
    ] {
        assert!(report.contains(expected), "{expected}\n{report}");
    }
    assert!(!report.contains("| line 4 of rp1 |"), "{report}");
    let json = axiom_compose::report::json(&composed);
    assert!(json.contains("\"dma\"") && json.contains("\"contested\""));
}

#[test]
fn a_section_table_that_nobody_maps_leaves_no_trace() {
    // The first segment holds the file's header, as linkers like it.
    let mut image = elf(183, 2, 0x20_0000 + 120, &[CODE]);
    let size = image.len() as u64;
    image[64 + 8..64 + 16].copy_from_slice(&0u64.to_le_bytes());
    for at in [64 + 32, 64 + 40] {
        image[at..at + 8].copy_from_slice(&size.to_le_bytes());
    }
    let mut other = image.clone();
    other[0x28] = 0x77;
    other[0x3c] = 9;
    let read = |bytes: &[u8]| axiom_compose::image::read(bytes, 0x20_0000..0x30_0000).unwrap();
    assert_eq!(read(&image), read(&other));
    assert_eq!(read(&image).segments[0].bytes[..0x28], image[..0x28]);
}

/// The report is what a reviewer reads: every line of it stands in a file that a reviewer has read. `BLESS=1` writes it anew.
#[test]
fn the_report_of_every_kind_of_right_is_the_one_that_was_read() {
    let world = World::new("golden");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let composed = compose(&world.options(folder.join("system.toml"))).unwrap_or_else(|e| {
        panic!("{}", e.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    });
    let made = [
        ("report.md", axiom_compose::report::markdown(&composed)),
        ("report.json", axiom_compose::report::json(&composed)),
        // What init reads: offsets depend on the images, everything else on the manifest.
        ("system.txt", format!("{:#?}\n", composed.system)),
    ];
    for (name, text) in made {
        let path = folder.join(name);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, text).unwrap();
            continue;
        }
        let read = std::fs::read_to_string(&path).unwrap();
        let differs = read.lines().zip(text.lines()).position(|(a, b)| a != b);
        assert!(
            read == text,
            "{name} is another one from line {:?}: {:?}",
            differs,
            differs.map(|n| text.lines().nth(n))
        );
    }
}

/// What is refused from one more on is accepted to the last one.
#[test]
fn what_just_fits_is_accepted() {
    let world = World::new("fits");
    let names =
        |what: &str, n: usize| (0..n).map(|i| format!("\"{what}{i}\"")).collect::<Vec<_>>().join(", ");
    let server = |name: &str, more: &str| {
        format!(
            "[server.{name}]\nimage = \"good\"\npriority = 10\nbudget_us = 100\nperiod_us = 10000\n{more}\n"
        )
    };
    let device = "devices = [{ name = \"uart\", compatible = \"arm,pl011\" }]";
    let lines = |n: usize| {
        (0..n).map(|i| format!("{{ chip = \"c0\", line = {i}, stop = 0 }}")).collect::<Vec<_>>().join(", ")
    };
    let motor = |name: usize, first: usize| {
        format!("[motor.m{name}]\ngpio = [{{ chip = \"c0\", line = {first}, stop = 0 }}]\n")
    };
    let motors: String = (1..8).map(|n| motor(n, 10 + n)).collect();
    let all = [
        server("a", &format!("timers = [{}]\n{device}", names("t", 28))),
        server(
            "b",
            &format!(
                "gpio_chips = [{}]\nstack_kib = 8192\nscratch_kib = 8192\nshared_kib = 8192",
                names("c", 4)
            ),
        ),
        server("d", "heap_kib = 121856\nstack_kib = 8192").replace("good", "allocates"),
        server("c", "untyped_kib = 65536\ndma_kib = 16384"),
        server("a-name-of-24-characters-", "untyped_kib = 4\nblobs = [\"just-fits\"]"),
        // A note of others asks for no heap, and what is said to be nothing is not asked for.
        server("e", "").replace("good", "others-notes"),
        server("f", "trace = false\ndma_kib = 0\ngpio = []\ntimers = []").replace("good", "takes-nothing"),
        format!("[motor.m0]\ngpio = [{}]\n", lines(8)),
        motors,
    ];
    let path = world.0.join("fits.toml");
    std::fs::write(
        &path,
        format!("[system]\nname = \"n\"\nboard = \"b\"\nmemory_mib = 1024\n{}", all.concat()),
    )
    .unwrap();
    let composed = compose(&world.options(path)).unwrap_or_else(|e| panic!("{}", e[0]));
    assert_eq!((composed.system.servers.len(), composed.rights.motors.len()), (7, 8));
    let of = |name: &str| composed.system.servers.iter().find(|s| s.name == name).unwrap();
    assert_eq!((of("e").heap_kib, of("e").segments.len()), (0, 1), "a segment of nothing is none");
    assert_eq!(composed.rights.motors[0].gpio.len(), 8);
}

#[test]
fn four_manifests_may_lie_below_one_and_not_five() {
    let world = World::new("layers");
    let text = "[system]\nname = \"n\"\nboard = \"b\"\n[server.a]\nimage = \"good\"\npriority = 10\nbudget_us = 100\nperiod_us = 1000\n";
    std::fs::write(world.0.join("0.toml"), text).unwrap();
    for n in 1..=5 {
        std::fs::write(world.0.join(format!("{n}.toml")), format!("extends = \"{}.toml\"\n", n - 1)).unwrap();
    }
    assert!(compose(&world.options(world.0.join("4.toml"))).is_ok());
    assert!(compose(&world.options(world.0.join("5.toml"))).is_err());
}

/// The description has the room that it takes, however many servers and settings there are.
#[test]
fn a_long_description_lies_before_its_blobs() {
    let world = World::new("long");
    let mut text = "[system]\nname = \"n\"\nboard = \"b\"\n".to_owned();
    for n in 0..62 {
        text += &format!(
            "[server.s{n}]\nimage = \"good\"\npriority = 10\nbudget_us = 20\nperiod_us = 10000\nblobs = [\"iio_filter.o\"]\nargs = {{ "
        );
        (0..40).for_each(|k| text += &format!("k{k} = \"{}\", ", "v".repeat(60)));
        text += "}\n";
    }
    let path = world.0.join("long.toml");
    std::fs::write(&path, text).unwrap();
    let composed = compose(&world.options(path)).unwrap_or_else(|e| panic!("{}", e[0]));
    let description = postcard::to_allocvec(&composed.system).unwrap().len();
    let first = composed.system.servers.iter().flat_map(|s| &s.segments).map(|s| s.offset).min().unwrap();
    assert!(description > 62 * 40 * 60, "{description}");
    // Offsets are reserved at their longest, which is 62 times two numbers of ten bytes.
    let least = (24 + description as u64).next_multiple_of(4096);
    assert!((least..=least + 4096).contains(&first), "{first:#x} for {description} bytes");
}

/// What init tells a server has its place; settings that are longer than that are no surprise at boot.
#[test]
fn settings_fit_what_init_tells_a_server() {
    let world = World::new("told");
    let path = world.0.join("told.toml");
    let room = 2 * 4096 - 5 * 8;
    // A key of one letter, two lengths; a file's name and its length.
    let longest = room - 3 - "iio_filter.o".len() - 1;
    let said = |length: usize| {
        let text = format!(
            "[system]\nname = \"n\"\nboard = \"b\"\n[server.a]\nimage = \"good\"\npriority = 10\nbudget_us = 20\nperiod_us = 10000\nblobs = [\"iio_filter.o\"]\nargs = {{ k = \"{}\" }}\n",
            "v".repeat(length)
        );
        std::fs::write(&path, text).unwrap();
        compose(&world.options(path.clone())).map(drop).map_err(|errors| errors[0].to_string())
    };
    assert_eq!(said(longest), Ok(()));
    let expected = "told.toml:4: server 'a': its settings and the names of its files take 8153 bytes\n  rule: what init tells a server at its start fits 2 pages, 8152 bytes\n  try:  shorter settings, or fewer files";
    let refused = said(longest + 1).unwrap_err();
    assert!(refused.ends_with(expected), "{refused}");
}

#[test]
fn there_are_no_more_servers_than_badges() {
    let world = World::new("many");
    let path = world.0.join("many.toml");
    let mut text = "[system]\nname = \"n\"\nboard = \"b\"\n".to_owned();
    for n in 1..=axiom_layout::MAX_SERVERS + 1 {
        let refused = n > axiom_layout::MAX_SERVERS;
        text +=
            &format!("[server.s{n}]\nimage = \"good\"\npriority = 10\nbudget_us = 20\nperiod_us = 10000\n");
        std::fs::write(&path, &text).unwrap();
        match compose(&world.options(path.clone())) {
            Err(errors) if refused => {
                let expected = "many.toml:314: server 's63' is number 63\n  rule: a system has 1 to 62 servers\n  try:  take servers together";
                assert!(errors[0].to_string().ends_with(expected), "{}", errors[0]);
            }
            Ok(_) => assert!(!refused),
            Err(errors) => panic!("{n}: {}", errors[0]),
        }
    }
}

/// One KiB decides whether a system fits the RAM of its board.
#[test]
fn the_last_kibibyte_of_ram_is_used() {
    let world = World::new("ram");
    let text = |heap: u64, file: &str| {
        format!(
            "[system]\nname = \"n\"\nboard = \"b\"\nmemory_mib = 64\n[server.a]\nimage = \"allocates\"\npriority = 10\nbudget_us = 100\nperiod_us = 1000\nstack_kib = 64\nheap_kib = {heap}\nblobs = [\"{file}\"]\n"
        )
    };
    // Four bytes of code; 64 KiB of stack, 128 for the server itself, 4096 for kernel and init.
    std::fs::write(world.0.join("blobs/fits"), vec![0; 4096 - 4]).unwrap();
    std::fs::write(world.0.join("blobs/over"), vec![0; 4096 - 3]).unwrap();
    let heap = 64 * 1024 - 64 - 128 - 4096 - 4;
    let said = |file: &str| {
        let path = world.0.join(format!("{file}.toml"));
        std::fs::write(&path, text(heap, file)).unwrap();
        compose(&world.options(path)).map(drop).map_err(|e| e[0].to_string())
    };
    assert_eq!(said("fits"), Ok(()));
    let over = said("over").unwrap_err();
    assert!(over.contains("the servers need 65537 KiB"), "{over}");
}

#[test]
fn the_owner_of_a_program_may_be_any_client_of_any_server_that_has_it() {
    let world = World::new("owner");
    let server = |name: &str, priority: u8, more: &str| {
        format!(
            "[server.{name}]\nimage = \"good\"\npriority = {priority}\nbudget_us = 100\nperiod_us = 10000\n{more}\n"
        )
    };
    let with = |calls: &str, owner: &str| {
        let text = "[system]\nname = \"n\"\nboard = \"b\"\n".to_owned()
            + &server("one", 100, "blobs = [\"iio_filter.o\"]")
            + &server("other", 90, "blobs = [\"iio_filter.o\"]")
            + &server("user", 10, calls)
            + &format!("[program.p]\nobject = \"iio_filter.o\"\nowner = \"{owner}\"\n");
        let path = world.0.join("owner.toml");
        std::fs::write(&path, text).unwrap();
        compose(&world.options(path)).map(drop).map_err(|e| e[0].to_string())
    };
    for (calls, owner) in
        [("calls = [\"one\"]", "user"), ("calls = [\"other\"]", "user"), ("", "one"), ("", "other")]
    {
        assert_eq!(with(calls, owner), Ok(()), "{calls} {owner}");
    }
    assert!(with("", "user").unwrap_err().contains("calls no server that has iio_filter.o"));
}

/// Each right to lines and motors, alone, asks for an owner to be called.
#[test]
fn each_wish_alone_is_a_wish() {
    let world = World::new("wishes");
    for (wish, refused) in [
        ("", false),
        ("gpio = [{ chip = \"c\", line = 1 }]", true),
        ("pwm = [{ chip = \"p\", channel = 0 }]", true),
        ("motor_stop = true", true),
        ("motor_rearm = true", true),
        ("motor_rearm = false", false),
    ] {
        let text = format!(
            "[system]\nname = \"n\"\nboard = \"b\"\n[server.chips]\nimage = \"good\"\npriority = 90\nbudget_us = 100\nperiod_us = 10000\ngpio_chips = [\"c\"]\npwm_chips = [\"p\"]\n[server.user]\nimage = \"good\"\npriority = 10\nbudget_us = 100\nperiod_us = 10000\n{wish}\n"
        );
        let path = world.0.join("wish.toml");
        std::fs::write(&path, text).unwrap();
        assert_eq!(compose(&world.options(path)).is_err(), refused, "{wish}");
    }
}
