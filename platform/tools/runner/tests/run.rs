//! Whole runs with a script in QEMU's place: exit status, texts, and that no child is left.
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// How a script in QEMU's place gets the word that makes a verdict this run's.
const WORD: &str = "w=$(echo \"$*\" | sed -n 's/.*axiom.verdict=\\([0-9a-f]*\\).*/\\1/p');";

struct Bench(PathBuf);

impl Bench {
    fn new(name: &str, qemu: &str) -> Self {
        // Paths may have anything in them.
        let dir =
            std::env::temp_dir().join(format!("axiom, runner's \"test\" ü-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for file in ["kernel", "bundle"] {
            std::fs::write(dir.join(file), "x").unwrap();
        }
        let bench = Self(dir);
        bench.script("qemu", qemu);
        bench
    }

    fn script(&self, name: &str, body: &str) {
        let path = self.0.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_axiom-runner"));
        for (flag, file) in
            [("--kernel", "kernel"), ("--bundle", "bundle"), ("--qemu", "qemu"), ("--logs", "logs")]
        {
            command.arg(flag).arg(self.0.join(file));
        }
        command.args(args).stdin(std::process::Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> (i32, String) {
        let Output { status, stderr, .. } = self.command(args).output().unwrap();
        (status.code().unwrap(), String::from_utf8(stderr).unwrap())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_good_run_ends_with_0_and_leaves_its_log() {
    let bench = Bench::new("good", &format!("{WORD} echo booting; echo \"axiom: run ended: ok ($w)\""));
    assert_eq!(bench.run(&["--no-sensors", "--expect", "booting"]).0, 0);
    let log = std::fs::read_to_string(bench.0.join("logs/qemu-aarch64.log")).unwrap();
    assert!(log.starts_with("booting\naxiom: run ended: ok ("), "{log}");
}

#[test]
fn a_root_task_speaks_for_itself_and_nobody_else_ends_a_run() {
    let bench = Bench::new("forged", "echo 'axiom: run ended: ok'; echo \"args: $*\"");
    assert_eq!(bench.run(&["--no-sensors", "--root-task"]).0, 0);
    let log = std::fs::read_to_string(bench.0.join("logs/qemu-aarch64.log")).unwrap();
    assert!(!log.contains("axiom.verdict"), "{log}");
    let (code, said) = bench.run(&["--no-sensors"]);
    assert_eq!(code, 1);
    assert!(said.contains("QEMU ended"), "{said}");
}

/// On a PC a triple fault ends QEMU with status 0, and so does power-off: only the exit device's status is the kernel's.
#[test]
fn a_status_that_is_asked_for_is_demanded() {
    for (end, code) in [("exit 33", 0), ("exit 0", 1), ("kill -KILL $$", 1), ("sleep 30", 1)] {
        let bench = Bench::new("status", &format!("echo 'axiom: run ended: ok'; {end}"));
        let (got, said) = bench.run(&["--no-sensors", "--root-task", "--exit-status", "33"]);
        assert_eq!(got, code, "{end}: {said}");
        assert!(code == 0 || said.contains("the kernel's own end is status 33"), "{said}");
    }
}

#[test]
fn a_failed_run_ends_with_1_and_says_why() {
    let bench =
        Bench::new("failed", &format!("{WORD} echo \"axiom: run ended: FAILED: bench is down ($w)\""));
    let (code, said) = bench.run(&["--no-sensors", "--quiet"]);
    assert_eq!(code, 1);
    assert!(said.contains("axiom-runner: qemu-aarch64: the run failed: bench is down"), "{said}");
}

#[test]
fn a_silent_run_ends_with_3_even_if_qemu_does_not_listen() {
    let bench = Bench::new(
        "silent",
        "trap '' TERM; echo $$ > \"$(dirname \"$0\")\"/pid; while :; do sleep 0.1; done",
    );
    let start = Instant::now();
    let (code, said) = bench.run(&["--no-sensors", "--timeout", "1", "--expect", "never"]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("no end after 1 s without 'never'"), "{said}");
    assert!(start.elapsed() < Duration::from_secs(10));
    let pid = std::fs::read_to_string(bench.0.join("pid")).unwrap();
    assert!(!PathBuf::from(format!("/proc/{}", pid.trim())).exists(), "QEMU is left");
}

#[test]
fn a_signal_ends_qemu_and_simulator() {
    let bench = Bench::new("signal", "echo $$ > \"$(dirname \"$0\")\"/pid; exec sleep 60");
    bench.script("sim", "echo $$ > \"$(dirname \"$0\")\"/simpid; touch \"$2\"; exec sleep 60");
    let sim = bench.0.join("sim");
    let mut child = bench.command(&["--sensors", sim.to_str().unwrap()]).spawn().unwrap();
    let pid = bench.0.join("pid");
    let start = Instant::now();
    while !std::fs::read_to_string(&pid).is_ok_and(|t| t.ends_with('\n')) {
        assert!(start.elapsed() < Duration::from_secs(60), "QEMU was not started");
        std::thread::sleep(Duration::from_millis(10));
    }
    let kill = format!("kill {}", child.id());
    let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
    assert!(status.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    for file in ["pid", "simpid"] {
        let pid = std::fs::read_to_string(bench.0.join(file)).unwrap();
        assert!(!PathBuf::from(format!("/proc/{}", pid.trim())).exists(), "{file} is left");
    }
}

#[test]
fn what_is_missing_is_named() {
    let bench = Bench::new("missing", "exit 0");
    std::fs::remove_file(bench.0.join("bundle")).unwrap();
    let (code, said) = bench.run(&["--no-sensors"]);
    assert_eq!(code, 2);
    assert!(said.contains("bundle is not there; `just bundle` makes it"), "{said}");
    std::fs::write(bench.0.join("bundle"), "x").unwrap();
    bench.script("sim", "echo no such recording; exit 1");
    let (code, said) = bench.run(&["--sensors", bench.0.join("sim").to_str().unwrap()]);
    assert_eq!(code, 2);
    assert!(said.contains("the sensor simulator did not start: no such recording"), "{said}");
    let (code, said) = bench.run(&["--no-sensors", "--qemu", "/nowhere/qemu"]);
    assert_eq!(code, 2);
    let told = "the emulator /nowhere/qemu is not there; ./justw setup installs it";
    assert!(said.contains(told), "{said}");
    assert_eq!(bench.run(&["--probe", "--qemu", "/nowhere/qemu", "--qemu-hint", "build it"]).0, 2);
    assert_eq!(bench.run(&["--probe"]).0, 0);
}

#[test]
fn the_terminal_shows_what_people_read_and_the_log_has_everything() {
    let said = [
        "demo: a line that a line of init's cut in\\rinit: all servers are ready\\r",
        " two\\r",
        "bench: -----BEGIN AXIOM REPORT-----\\r",
        "bench: {\\\"metrics\\\":0}\\r",
        "bench: -----END AXIOM REPORT-----\\r",
        &format!("demo: {}\\r", "word ".repeat(40)),
        "axiom: run ended: ok ($w)\\r\\n",
    ]
    .join("\\n");
    let bench = Bench::new("people", &format!("{WORD} printf \"{said}\""));
    let output = bench.command(&["--no-sensors"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(!shown.contains(['\r', '\x1b', '{']), "{shown}");
    assert!(shown.lines().all(|l| l.len() <= 100), "{shown}");
    let whole = "init: all servers are ready\ndemo: a line that a line of init's cut in two\n";
    assert!(shown.starts_with(whole) && shown.ends_with("\naxiom: run ended: ok\n"), "{shown}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("./justw report"));
    let log = std::fs::read_to_string(bench.0.join("logs/qemu-aarch64.log")).unwrap();
    assert!(log.starts_with(whole) && log.contains("{\"metrics\":0}\n") && !log.contains('\r'), "{log}");
    let raw = bench.command(&["--no-sensors", "--raw"]).output().unwrap().stdout;
    assert!(String::from_utf8(raw).unwrap().contains("cut in\rinit: all servers are ready\r\n two\r\n"));
}

#[test]
fn a_temporary_folder_that_is_too_long_for_a_socket_is_told_as_that() {
    let bench = Bench::new("long", "exit 0");
    bench.script("sim", "exit 0");
    let long = bench.0.join("x".repeat(120));
    std::fs::create_dir_all(&long).unwrap();
    let sim = bench.0.join("sim");
    let output = bench.command(&["--sensors", sim.to_str().unwrap()]).env("TMPDIR", &long).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("is too long for a socket's path") && said.contains("set TMPDIR"), "{said}");
}

/// The recipes' first line of defence, before anything is built.
#[test]
fn help_and_wrong_flags_are_answered_without_a_build() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../..");
    let answer = |words: &[&str]| {
        let done = Command::new("platform/tools/answer").args(words).current_dir(root).output().unwrap();
        let said = String::from_utf8(done.stdout).unwrap() + &String::from_utf8(done.stderr).unwrap();
        (done.status.code().unwrap(), said)
    };
    let (code, said) = answer(&["qemu-aarch64", "runner", "--icount", "--help"]);
    assert!(code == 0 && said.contains("usage: ./justw qemu-aarch64") && said.contains("--icount"), "{said}");
    let (code, said) = answer(&["flash-rpi5", "rpi5", "-h"]);
    assert!(
        code == 0 && said.contains("--yes-really") && said.contains("lists those that can be removed"),
        "{said}"
    );
    let (code, said) = answer(&["test-system", "justfile", "--help"]);
    assert!(code == 0 && said.contains("test-system: Tests of the whole system"), "{said}");
    assert!(said.contains("\n  boot-refusals\n"), "{said}");
    // Words that a recipe takes; those after -- are not its own.
    let words: [&[&str]; 14] = [
        &["kernel", "justfile", "tools", "programs"],
        &["lint", "justfile", "test-system", "driver-crash"],
        &["qemu-aarch64", "justfile", "--icount", "--timeout", "5", "--", "-d", "--what"],
        &["qemu-x86_64", "justfile", "--cpu", "max"],
        &["test-system", "justfile", "driver-crash", "rpi5/gpio-msi"],
        &["demo-limit", "justfile", "qemu-rpi5"],
        &["bundle", "justfile", "platform/qemu-x86_64/system.toml", "target/anywhere"],
        &["bundle", "justfile", "Cargo.toml"],
        &["image-rpi5", "justfile", "--dtb", "platform"],
        &["compare-linux", "justfile", "--mode", "icount", "--runs", "1", "--small"],
        &["fuzz-kernel", "justfile", "1.5", "7", "x86_64"],
        &["mutants", "justfile", "axiom-fdt", "--sample", "20"],
        &["trace", "justfile", ""],
        &["debug", "justfile", "iio-server", "--", "-batch", "--anything"],
    ];
    for words in words {
        assert_eq!(answer(words), (1, String::new()), "{words:?}");
    }
    // Those that it does not take are named, with what it does.
    for (words, expected) in [
        (
            "qemu-aarch64 --icuont",
            "unknown flag '--icuont'; did you mean --icount? ./justw qemu-aarch64 --help says more",
        ),
        (
            "report --hmtl",
            "report: unknown flag '--hmtl'; did you mean --html? ./justw report --help says more",
        ),
        ("flash-rpi5 --yes-realy", "did you mean --yes-really?"),
        ("compare-linux --smal", "did you mean --small?"),
        (
            "compare-linux --nothing-like-it",
            "it takes --board, --runs, --mode, --small, --axiom-only, --record;",
        ),
        ("lint --fast", "lint: unknown flag '--fast': it takes none;"),
        ("test extra", "test: 'extra' is not understood: it takes no words, and there is no recipe 'extra';"),
        (
            "lint test-host qemu-aarch64 --icuont",
            "qemu-aarch64: unknown flag '--icuont'; did you mean --icount?",
        ),
        ("qemu-x86_64 --nosuch", "unknown flag '--nosuch'"),
        ("qemu-aarch64 --timeout", "--timeout needs a value"),
        ("qemu-aarch64 --timeout soon", "--timeout 'soon' is no number"),
        ("qemu-aarch64 --gic 4", "--gic '4' is none of 2, 3"),
        ("qemu-rpi5 --cores many", "--cores 'many' is no number"),
        ("qemu-aarch64 warp", "'warp' is not understood"),
        ("test-system driver-crash NOSUCH", "there is no test 'NOSUCH'; there are:\n  root-task\n"),
        (
            "demo-button NOSUCH",
            "there is no board 'NOSUCH'; there are:\n  qemu-aarch64\n  qemu-x86_64\n  qemu-rpi5\n",
        ),
        ("bundle NOSUCH", "there is no manifest 'NOSUCH'; there are:\n  platform/qemu-aarch64/system.toml\n"),
        ("image-rpi5 --yes-really", "unknown flag '--yes-really'; it takes --dtb"),
        ("image-rpi5 --dtb /nowhere", "--dtb '/nowhere' is no file and no folder"),
        ("compare-linux --mode fast", "--mode 'fast' is none of icount, tcg"),
        ("bench --recrod", "unknown flag '--recrod'; did you mean --record?"),
        ("fuzz-kernel five", "'five' is no number"),
        ("fuzz-kernel", "fuzz-kernel: it needs its minutes; ./justw fuzz-kernel --help says more"),
        ("explain", "explain: it needs its log; ./justw explain --help says more"),
        ("mutants --sample 5", "mutants: it needs its crate; ./justw mutants --help says more"),
        ("fuzz-kernel 1 1 arm", "'arm' is none of aarch64, x86_64"),
        ("mutants axiom-nosuch", "there is no crate 'axiom-nosuch'; there are:"),
        ("report a.log", "'a.log' is no file"),
        ("debug nosuch", "there is no server 'nosuch'; there are:\n  console\n"),
        ("nosuch", "there is no recipe 'nosuch'"),
    ] {
        let mut words: Vec<&str> = words.split(' ').collect();
        words.insert(1, "justfile");
        let (code, said) = answer(&words);
        // A sentence goes on in the next line where it would be wider than a terminal.
        let whole = said.replace('\n', " ");
        assert!(code == 2 && (said.contains(expected) || whole.contains(expected)), "{words:?}: {said}");
        assert!(said.lines().all(|line| line.chars().count() <= 100), "{words:?}: {said}");
    }
    // `just` alone gives what is not there as nothing.
    let (code, said) = answer(&["fuzz-kernel", "justfile", "", "20260101", "aarch64"]);
    assert!(code == 2 && said.contains("it needs its minutes"), "{said}");
    let (code, said) = answer(&["explain", "justfile", "--help"]);
    assert!(code == 0 && said.contains("usage: ./justw explain LOG [flags...]"), "{said}");
    // A path may have spaces and quotes: those of the target folder are quoted once, where they are named.
    let justfile = std::fs::read_to_string(format!("{root}/justfile")).unwrap();
    for line in justfile.lines() {
        let named = ["bin", "images", "pc_images"].iter().any(|n| line.contains(&format!("\"{{{{ {n} }}}}")));
        assert!(!named && !line.contains("{{ CARGO_TARGET_DIR }}"), "a path that would fall apart: {line}");
        assert!(!line.contains(":= CARGO_TARGET_DIR"), "a path without quote(): {line}");
    }
    // No recipe builds before it has looked at its words; and what it goes on with does not say a second time that it failed.
    let lines: Vec<&str> = justfile.lines().collect();
    for pair in lines.windows(2) {
        assert!(!pair[1].starts_with('_') || pair[0] == "[no-exit-message]", "{} says so twice", pair[1]);
    }
    // Nor does one that answers by itself, and has a sentence of its own for what it refuses.
    for three in lines.windows(3) {
        let answers = three[2].contains("{{ answer }} ");
        assert!(!answers || three[0] == "[no-exit-message]", "{} says so twice", three[1]);
    }
    for pair in lines.windows(2) {
        let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        let Some((name, rest)) = pair[0].split_once([' ', ':']).filter(|(n, _)| n.contains(named)) else {
            continue;
        };
        // Private ones, settings and those of the kind `name: ...` take nothing of a user's.
        let takes =
            pair[0].contains(&format!("{name} ")) && name.chars().all(named) && !name.starts_with('_');
        if !takes || rest.contains(":=") || ["set", "demo"].contains(&name) {
            continue;
        }
        assert!(rest.ends_with(':'), "{name} builds before it looks at its words: {rest}");
        let asks = ["ask", "answer"].iter().any(|a| pair[1].contains(&format!("{{{{ {a} }}}} {name} ")));
        assert!(asks, "{name} does not say what it takes: {}", pair[1]);
        assert_eq!(answer(&[name, "justfile", "--no-such-flag"]).0, 2, "{name}");
    }
    for recipe in std::fs::read_to_string(format!("{root}/justfile")).unwrap().lines() {
        let Some((name, _)) = recipe.split_once([' ', ':']).filter(|(n, _)| {
            !n.is_empty() && n.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        }) else {
            continue;
        };
        if recipe.contains(" := ") || ["set", "default", "setup"].contains(&name) {
            continue;
        }
        let (code, said) = answer(&[name, "none", "--help"]);
        assert!(code == 0 && said.contains(&format!("usage: ./justw {name}")), "{name}: {said}");
    }
}
