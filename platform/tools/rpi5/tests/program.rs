//! The program as the recipes call it.
use std::path::{Path, PathBuf};
use std::process::Command;

const TREE: &[u8] = &[0xd0, 0x0d, 0xfe, 0xed, 0, 0, 0, 8];

struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        let mut kernel = vec![1; 5000];
        kernel[0x10..0x18].copy_from_slice(&9000u64.to_le_bytes());
        kernel[0x38..0x3c].copy_from_slice(b"ARM\x64");
        bench.file("kernel", &kernel);
        bench.file("bundle", b"\x7fELF and more");
        bench.file("c1.dtb", &[TREE, b"c1"].concat());
        bench.file("d0.dtb", &[TREE, b"d0"].concat());
        bench.file("config.txt", include_bytes!("../../../rpi5/config.txt"));
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Exit status, standard output, standard error.
    fn run(&self, line: &str) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_axiom-rpi5"))
            .args(line.split_whitespace())
            .current_dir(self.0.path())
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn image(&self, more: &str) -> String {
        let (code, out, err) = self.run(&format!(
            "image -o card.img --config config.txt --kernel kernel --bundle bundle --tree c1.dtb=bcm2712-rpi-5-b.dtb \
             --tree d0.dtb=bcm2712d0-rpi-5-b.dtb {more}"
        ));
        assert_eq!(code, 0, "{err}");
        out
    }

    fn loaded(&self, flags: &str) -> Vec<u8> {
        let (code, out, err) = self.run(&format!("unpack card.img out {flags}"));
        assert_eq!((code, out.as_str()), (0, "kernel 0x80000 initramfs 0x2000000\n"), "{err}");
        assert_eq!(
            std::fs::read(self.path("out/kernel.img")).unwrap(),
            std::fs::read(self.path("kernel")).unwrap()
        );
        assert_eq!(std::fs::read(self.path("out/initramfs.bundle")).unwrap(), b"\x7fELF and more");
        std::fs::read(self.path("out/board.dtb")).unwrap()[8..].to_vec()
    }
}

#[test]
fn our_own_trees_serve_both_steppings() {
    let bench = Bench::new();
    let said = bench.image("--commit 0123456789ab+changes");
    assert!(said.contains("device tree: Axiom's own") && said.contains("axiom.bundle"), "{said}");
    assert_eq!((bench.loaded(""), bench.loaded("--d0")), (b"c1".to_vec(), b"d0".to_vec()));
    let (_, listed, _) = bench.run("list card.img");
    assert!(listed.starts_with("image:   made from commit 0123456789ab+changes\n"), "{listed}");
    // Every line of the list was there when the image was made, digests and all.
    assert!(listed.lines().count() == 12 && listed.lines().all(|line| said.contains(line)), "{listed}");
}

#[test]
fn a_terminal_gets_the_list_in_lines_of_its_width() {
    let bench = Bench::new();
    bench.image("");
    let (_, whole, _) = bench.run("list card.img");
    let shown = Command::new("script")
        .args(["-qec", "\"$TOOL\" list card.img", "/dev/null"])
        .env("TOOL", env!("CARGO_BIN_EXE_axiom-rpi5"))
        .current_dir(bench.0.path())
        .stdin(std::process::Stdio::null())
        .output();
    let shown = String::from_utf8(shown.expect("script, of Debian's bsdutils").stdout).unwrap();
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    let words = |text: &str| {
        text.split_whitespace().filter(|word| *word != "image:").map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(words(&shown), words(&whole));
    assert!(whole.lines().any(|line| line.len() > 100), "no line to break: {whole}");
}

#[test]
fn our_own_tree_serves_every_board_with_the_soc() {
    let bench = Bench::new();
    bench.image("");
    let (code, said, err) = bench.run("list card.img");
    assert_eq!(code, 0, "{err}");
    for board in ["rpi-5-b", "rpi-500", "rpi-cm5-cm4io", "rpi-cm5-cm5io", "rpi-cm5l-cm4io", "rpi-cm5l-cm5io"]
    {
        assert!(said.contains(&format!("bcm2712-{board}.dtb")), "{board}: {said}");
    }
    assert!(said.contains("bcm2712d0-rpi-5-b.dtb"), "{said}");
}

#[test]
fn official_trees_come_from_a_boot_partition_or_a_file() {
    let bench = Bench::new();
    bench.file("boot/bcm2712-rpi-5-b.dtb", &[TREE, b"official"].concat());
    let said = bench.image("--dtb boot");
    assert!(
        said.contains("boot has no bcm2712d0-rpi-5-b.dtb") && said.contains("device tree: boot"),
        "{said}"
    );
    assert_eq!(bench.loaded("--d0"), b"official");
    bench.file("boot/bcm2712d0-rpi-5-b.dtb", &[TREE, b"official d0"].concat());
    bench.image("--dtb boot");
    assert_eq!((bench.loaded(""), bench.loaded("--d0")), (b"official".to_vec(), b"official d0".to_vec()));
    // Other boards with the same SoC: each its own, where the partition has one.
    bench.file("boot/bcm2712-rpi-500.dtb", &[TREE, b"official 500"].concat());
    bench.image("--dtb boot");
    let (code, said, err) = bench.run("list card.img");
    assert!(code == 0 && said.contains("bcm2712-rpi-500.dtb") && !said.contains("rpi-cm5"), "{said}{err}");
    // A single file is for every board: config.txt names it.
    bench.file("mine.dtb", &[TREE, b"mine"].concat());
    bench.image("--dtb mine.dtb");
    assert_eq!((bench.loaded(""), bench.loaded("--d0")), (b"mine".to_vec(), b"mine".to_vec()));
}

#[test]
fn a_card_in_a_file_is_the_image() {
    let bench = Bench::new();
    bench.image("");
    let (code, out, err) = bench.run("flash card.img copy.img");
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("read back: equal") && out.contains("115200 baud, 8N1"), "{out}");
    assert!(std::fs::read(bench.path("copy.img")).unwrap() == std::fs::read(bench.path("card.img")).unwrap());
}

#[test]
fn refusals_end_with_2_and_failures_with_1() {
    let bench = Bench::new();
    bench.image("");
    assert!(bench.run("list card.img").1.starts_with("image:   made from commit unknown\n"));
    bench.file("garbage.img", &[0; 4096]);
    for (line, status, message) in [
        ("", 2, "what shall be done?"),
        ("burn card.img", 2, "unknown command 'burn'"),
        ("flash card.img no-such-disk", 2, "there is no disk no-such-disk"),
        ("flash card.img /dev/null", 2, "/dev/null is no disk: it is a character device"),
        ("flash card.img //dev/../dev/null", 2, "is no disk: it is a character device"),
        ("flash card.img kernel", 2, "kernel is a file and no card image of ours"),
        ("flash card.img sdx --force", 2, "unknown option '--force'"),
        ("flash garbage.img copy.img", 1, "garbage.img: no partition table"),
        ("flash missing.img copy.img", 1, "missing.img: cannot be read"),
        ("list", 2, "list takes one image"),
        ("console ttyNONE", 2, "there is no serial port /dev/ttyNONE"),
        ("image --kernel", 2, "--kernel needs a value"),
        (
            "image -o x.img --config config.txt --kernel c1.dtb --bundle bundle --tree c1.dtb=bcm2712-rpi-5-b.dtb",
            1,
            "no arm64 Image",
        ),
    ] {
        let (code, _, said) = bench.run(line);
        assert_eq!(code, status, "{line}: {said}");
        assert!(said.contains(message), "{line}: {said}");
    }
    assert!(!Path::new(&bench.path("copy.img")).exists() && !bench.path("x.img").exists());
}

#[test]
fn who_has_read_enough_is_no_panic() {
    let bench = Bench::new();
    bench.image("");
    let (read, write) = std::io::pipe().unwrap();
    drop(read);
    let output = Command::new(env!("CARGO_BIN_EXE_axiom-rpi5"))
        .args(["list", "card.img"])
        .current_dir(bench.0.path())
        .stdout(write)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(axiom_terminal::CLOSED));
}
