//! The tool as a person uses it: every command run as a process, over the objects that the repository keeps.

use axiom_bpf_isa::Insn;
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

struct Done {
    status: i32,
    out: String,
    err: String,
}

fn tool(arguments: &[&str], input: &str) -> Done {
    let mut child = Command::new(env!("CARGO_BIN_EXE_axiom-bpf"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A tool that refuses its command line does not wait for input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { status: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

fn data(name: &str) -> String {
    format!("{}/../object/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn temporary(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn i(op: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn::new(op, dst, src, off, imm)
}

const EXIT: Insn = Insn::new(0x95, 0, 0, 0, 0);

fn raw(name: &str, insns: &[Insn]) -> String {
    let bytes: Vec<u8> = insns.iter().flat_map(|i| i.to_bytes()).collect();
    temporary(name, &bytes).display().to_string()
}

fn hex(insns: &[Insn]) -> String {
    insns.iter().flat_map(|i| i.to_bytes()).map(|b| format!("{b:02x}")).collect()
}

/// The engines that run compiled code here: a machine's own code always, another's where there is its emulator; the tool says plainly
/// what is missing, which its own test checks.
fn compiled() -> Vec<&'static str> {
    let mut engines = vec!["jit"];
    for (machine, engine, emulator) in
        [("aarch64", "jit-aarch64", "qemu-aarch64"), ("x86_64", "jit-x86_64", "qemu-x86_64")]
    {
        let native = std::env::consts::ARCH == machine;
        let there = native || Command::new(emulator).arg("--version").stdout(Stdio::null()).status().is_ok();
        assert!(
            there || std::env::var_os("AXIOM_REQUIRE_QEMU_USER").is_none(),
            "compiled code for {machine} needs {emulator} here (package qemu-user)"
        );
        if there {
            engines.push(engine);
        } else {
            eprintln!("skipped: no {emulator}");
        }
    }
    if !["aarch64", "x86_64"].contains(&std::env::consts::ARCH) {
        engines.remove(0);
    }
    engines
}

fn engines() -> Vec<&'static str> {
    [vec!["interp"], compiled()].concat()
}

#[test]
fn verify_says_the_verdict_for_people_and_for_programs() {
    let done = tool(&["verify", &data("iio_filter.o")], "");
    assert_eq!(done.status, 0, "{}", done.err);
    for line in [
        "iio_filter (iio/adxl345/accel_x): accepted",
        "Worst case: 22 instructions",
        "Cost:       1987 machine instructions at most, with its helpers",
        "Stack:      8 bytes",
        "Helpers:    bpf_map_lookup_elem, bpf_ringbuf_output",
        "Maps:       .rodata (array), counts (array), events (ring buffer)",
    ] {
        assert!(done.out.lines().any(|l| l == line), "{line}: {}", done.out);
    }
    let done = tool(&["verify", "--json", &data("iio_filter.o")], "");
    let json: Value = serde_json::from_str(&done.out).unwrap();
    let program = &json["programs"][0];
    assert_eq!(program["verdict"], "accepted");
    assert_eq!(program["worst_case"], 22);
    assert_eq!(program["cost"], 1987);
    assert_eq!(program["maps"][2]["type"], "ring buffer");
    // All programs of an object, or the one that is named.
    let done = tool(&["verify", &data("calls.o")], "");
    assert!(
        done.out.contains("first (timer/10hz): accepted")
            && done.out.contains("second (timer/10hz): accepted")
    );
    let done = tool(&["verify", &data("calls.o"), "--prog", "second"], "");
    assert!(!done.out.contains("first (") && done.status == 0);
    let done = tool(&["verify", &data("calls.o"), "--prog", "third"], "");
    assert_eq!(
        (done.status, done.err.starts_with("the object has no program 'third'; it has: first")),
        (1, true)
    );
}

/// `script` gives a program a terminal.
#[test]
fn a_terminal_gets_lines_of_its_width_and_a_pipe_whole_ones() {
    let mut broken = 0;
    for entry in std::fs::read_dir(data("")).unwrap() {
        let object = entry.unwrap().path().display().to_string();
        if !object.ends_with(".o") {
            continue;
        }
        let whole = tool(&["verify", &object], "");
        // Named by the environment: a path may have quotes of both kinds.
        let shown = Command::new("script")
            .args(["-qec", "\"$TOOL\" verify \"$OBJECT\"", "/dev/null"])
            .env("TOOL", env!("CARGO_BIN_EXE_axiom-bpf"))
            .env("OBJECT", &object)
            .stdin(Stdio::null())
            .output();
        let shown = String::from_utf8(shown.expect("script, of Debian's bsdutils").stdout).unwrap();
        let wide = |text: &str| text.lines().filter(|line| line.chars().count() > 100).count();
        assert_eq!(wide(&shown), 0, "{shown}");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&shown), words(&(whole.out.clone() + &whole.err)), "{object}");
        broken += wide(&whole.out) + wide(&whole.err);
    }
    assert!(broken > 0, "no object has a line to break");
}

#[test]
fn verify_refuses_with_the_devices_words() {
    let done = tool(&["verify", &data("names.o")], "");
    assert_eq!(done.status, 1);
    assert!(
        done.err.starts_with("'names' in section '.rodata' (byte 0), used at ./names.c:5 holds"),
        "{}",
        done.err
    );
    let done = tool(&["verify", "--json", &data("names.o")], "");
    let json: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((done.status, &json["verdict"]), (1, &Value::from("refused")));
    assert!(json["reason"].as_str().unwrap().contains("data cannot hold addresses"));
    let done = tool(&["verify", &data("callback.o")], "");
    assert_eq!(done.status, 1);
    assert!(
        done.out.starts_with("callback (timer/10hz): refused\n./callback.c:5: the program takes"),
        "{}",
        done.out
    );
    let done = tool(&["verify", "--json", &data("callback.o")], "");
    let json: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(json["programs"][0]["verdict"], "refused");
    assert_eq!(json["programs"][0]["at"], Value::Null);
    let (source, text) = (data("calls.c"), std::fs::read(data("calls.c")).unwrap());
    let compile =
        format!("{source}: this is a source in C, not an object: compile it first: clang -target bpf ");
    let none = temporary("none.o", b"");
    let (noise, other) = (
        temporary("noise.o", &text),
        temporary("other.o", &std::fs::read(env!("CARGO_BIN_EXE_axiom-bpf")).unwrap()),
    );
    for command in ["verify", "prove", "run", "disasm", "maps"] {
        let said = |file: &str, what: &str| {
            let done = tool(&[command, file], "");
            assert_eq!((done.status, done.err.starts_with(what)), (1, true), "{command}: {}", done.err);
            done.err
        };
        let err = said(&source, &compile);
        assert!(err.trim_end().ends_with("calls.o") && err.contains(&format!(" -c {source} -o ")), "{err}");
        let none = none.to_str().unwrap();
        said(none, &format!("{none}: the file is empty"));
        let noise = noise.to_str().unwrap();
        said(noise, &format!("{noise}: this is not an ELF object"));
        let other = other.to_str().unwrap();
        said(other, &format!("{other}: the object is for ELF machine "));
    }
    let done = tool(&["verify", "--json", &source], "");
    let json: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((done.status, json["reason"].as_str().unwrap().starts_with(&compile)), (1, true));
    let done = tool(&["verify", "/nowhere/x.o"], "");
    assert_eq!((done.status, done.err.starts_with("axiom-bpf: /nowhere/x.o: cannot be read: ")), (2, true));
}

#[test]
fn prove_writes_a_proof_that_verify_checks() {
    let proved = Path::new(env!("CARGO_TARGET_TMPDIR")).join("proved.o").display().to_string();
    let before = std::fs::read(data("calls.o")).unwrap();
    let done = tool(&["prove", &data("calls.o"), "-o", &proved], "");
    assert_eq!(done.status, 0, "{}{}", done.out, done.err);
    assert_eq!(done.out.matches(" bytes, checked\n").count(), 2, "{}", done.out);
    assert!(done.out.contains(&format!("Written:    {proved}, ")));
    assert_eq!(std::fs::read(data("calls.o")).unwrap(), before, "with -o the object stays as it was");
    let verified = tool(&["verify", &proved, "--json"], "");
    let json: Value = serde_json::from_str(&verified.out).unwrap();
    for n in 0..2 {
        assert_eq!(json["programs"][n]["verdict"], "accepted");
        assert!(json["programs"][n]["proof"].as_u64().unwrap() > 10);
    }
    assert_eq!(tool(&["disasm", &proved], "").out, tool(&["disasm", &data("calls.o")], "").out);
    assert_eq!(tool(&["run", &proved, "--prog", "first"], "").status, 0);
    // In place, and once more: the section has new contents, and there is one.
    assert_eq!(tool(&["prove", &proved], "").status, 0);
    let whole = std::fs::read(&proved).unwrap();
    assert_eq!(whole.windows(13).filter(|w| *w == b".axiom.proof\0").count(), 1);
    // The newest section lies before the table of sections: damage in a proof is told; damage elsewhere in the section hides
    // the proof, and the program is analysed.
    let table = u64::from_le_bytes(whole[0x28..0x30].try_into().unwrap()) as usize;
    let (mut refused, mut analysed) = (0, 0);
    for at in table - 120..table {
        let mut wrong = whole.clone();
        wrong[at] ^= 0x55;
        let file = temporary("wrong.o", &wrong).display().to_string();
        let done = tool(&["verify", &file, "--prog", "second"], "");
        if done.status == 1 {
            refused += 1;
            assert!(done.out.contains("the object's proof does not hold"), "{at}: {}{}", done.out, done.err);
        } else {
            analysed += u32::from(!done.out.contains("Proof:"));
        }
    }
    assert!(refused > 60, "{refused} refused, {analysed} analysed");
    // One of two: the other's proof stays.
    let done = tool(&["prove", &proved, "--prog", "first"], "");
    assert_eq!((done.status, done.out.contains("second (")), (0, false), "{}", done.err);
    assert_eq!(tool(&["verify", &proved], "").out.matches("Proof:").count(), 2);
    // What is refused is not written.
    let nothing = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nothing.o");
    let done = tool(&["prove", &data("callback.o"), "-o", nothing.to_str().unwrap()], "");
    assert_eq!((done.status, nothing.exists()), (1, false));
    let done = tool(&["prove", &data("calls.o"), "-o", "/nowhere/x.o"], "");
    assert_eq!((done.status, done.err.contains("/nowhere/x.o: cannot be written")), (2, true));
}

#[test]
fn a_run_shows_r0_the_context_and_the_maps() {
    let mut context = [0u8; 32];
    context[16..20].copy_from_slice(&500i32.to_le_bytes());
    let context = temporary("event.bin", &context).display().to_string();
    for engine in engines() {
        let done =
            tool(&["run", &data("iio_filter.o"), "--ctx", &context, "--engine", engine, "--repeat", "3"], "");
        assert_eq!(done.status, 0, "{engine}: {}", done.err);
        assert!(done.out.starts_with("iio_filter: r0 = 1 (0x1)\ntime: "), "{engine}: {}", done.out);
        for line in [
            "  0010  f4 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00",
            "  [1] = 0300000000000000",
            "  3 records",
        ] {
            assert!(done.out.lines().any(|l| l == line), "{engine}: {line}: {}", done.out);
        }
    }
    let done = tool(&["run", &data("iio_filter.o"), "--ctx", &data("calls.c")], "");
    assert_eq!(done.status, 2);
    assert!(done.err.ends_with("and programs of this kind get 32\n"), "{}", done.err);
    let done = tool(&["run", &data("calls.o")], "");
    assert_eq!((done.status, done.err.starts_with("the object has 2 programs: say which: first")), (1, true));
    assert!(done.err.ends_with("(--prog NAME)\n"), "{}", done.err);
}

/// `run` says what `verify` says of a program that is refused; and what to do if only the verifier refuses it.
#[test]
fn a_run_of_what_is_refused_says_so_as_verify_does() {
    // An address outlives its memory: the context's is returned.
    let returns = raw("returns.bin", &[i(0xbf, 0, 1, 0, 0), EXIT]);
    let (callback, point) = (data("callback.o"), temporary("point.o", &moved_point("timer/00hz")));
    let point = point.display().to_string();
    for (arguments, head, but) in [
        (
            &["--raw", &returns] as &[&str],
            format!("{returns}: refused\nReason:     an address outlives"),
            true,
        ),
        (&[&callback], "callback (timer/10hz): refused\n./callback.c:5: the program takes".into(), false),
        (&[&point], "statics (timer/00hz): refused\nthe server of 'timer/00hz' has no such".into(), false),
    ] {
        let done = tool(&[&["run"], arguments].concat(), "");
        assert_eq!((done.status, done.out.as_str()), (1, ""), "{}", done.err);
        assert!(done.err.starts_with(&head), "{}", done.err);
        let last = done.err.lines().last().unwrap();
        let file = arguments.last().unwrap();
        assert!(last.starts_with(&format!("{file}: not run")), "{last}");
        assert_eq!(last.contains("--no-verify"), but, "{last}");
        if arguments.len() == 1 {
            let verified = tool(&["verify", file], "");
            let whole = done.err.trim_end().strip_suffix(last).unwrap();
            assert_eq!((verified.status, verified.out.as_str()), (1, whole));
        }
    }
}

/// statics.o at another attach point of as many letters as `timer/10hz`.
fn moved_point(point: &str) -> Vec<u8> {
    let mut bytes = std::fs::read(data("statics.o")).unwrap();
    let places = bytes.windows(10).enumerate().filter(|(_, w)| *w == b"timer/10hz");
    for at in places.map(|(at, _)| at).collect::<Vec<_>>() {
        bytes[at..at + 10].copy_from_slice(point.as_bytes());
    }
    bytes
}

#[test]
fn plain_instructions_have_memory_and_one_map() {
    // map[3] += memory[0]; return it.
    let program = [
        i(0x79, 6, 1, 0, 0),
        i(0x62, 10, 0, -4, 3),
        i(0xbf, 2, 10, 0, 0),
        i(0x07, 2, 0, 0, -4),
        i(0x18, 1, 1, 0, 0),
        i(0, 0, 0, 0, 0),
        i(0x85, 0, 0, 0, 1),
        i(0x15, 0, 0, 3, 0),
        i(0x79, 1, 0, 0, 0),
        i(0x0f, 1, 6, 0, 0),
        i(0x7b, 0, 1, 0, 0),
        i(0xbf, 0, 1, 0, 0),
        EXIT,
    ];
    // r0 of a failed lookup would be a number, too.
    let mut program = program.to_vec();
    program[7].off = 4;
    let file = raw("map.bin", &program);
    let memory = temporary("seven.bin", &7u64.to_le_bytes()).display().to_string();
    for engine in engines() {
        let done = tool(&["run", "--raw", &file, "--ctx", &memory, "--engine", engine, "--repeat", "4"], "");
        assert!(
            done.out.contains("r0 = 28 (0x1c)") && done.out.contains("  [3] = 1c00000000000000"),
            "{}{}",
            done.out,
            done.err
        );
    }
    // What writes its context is refused, and runs all the same when told so; then the memory shows it.
    let writes = raw("writes.bin", &[i(0x7a, 1, 0, 0, 5), i(0xbf, 0, 2, 0, 0), EXIT]);
    let done = tool(&["run", "--raw", &writes, "--ctx", &memory], "");
    assert_eq!(
        (
            done.status,
            done.err.starts_with(&format!("{writes}: refused\nReason:     writes the context, which"))
        ),
        (1, true)
    );
    assert!(
        done.err.contains(&format!("\n{writes}: not run; --no-verify runs it all the same")),
        "{}",
        done.err
    );
    assert_eq!(done.out, "", "nothing ran");
    for engine in engines() {
        let done = tool(&["run", "--raw", &writes, "--ctx", &memory, "--no-verify", "--engine", engine], "");
        assert!(
            done.out.contains("r0 = 8 (0x8)") && done.out.contains("  0000  05 00 00 00"),
            "{}{}",
            done.out,
            done.err
        );
    }
    let odd = temporary("odd.bin", &[0; 9]).display().to_string();
    let done = tool(&["run", "--raw", &odd], "");
    assert_eq!(done.status, 2);
    assert!(done.err.contains("9 bytes are not a whole number of instructions"), "{}", done.err);
}

#[test]
fn programs_that_were_not_verified_are_stopped() {
    let wild = raw("wild.bin", &[i(0xb7, 1, 0, 0, 64), i(0x79, 0, 1, 0, 0), EXIT]);
    let done = tool(&["run", "--raw", &wild, "--no-verify"], "");
    assert_eq!(
        (done.status, done.err.as_str()),
        (1, "instruction 1: read of 8 bytes at 0x40, which is not the program's memory\n")
    );
    let endless = raw("endless.bin", &[i(0x05, 0, 0, -1, 0), EXIT]);
    let done = tool(&["run", "--raw", &endless, "--no-verify"], "");
    assert!(done.err.contains("the instruction budget is used up"), "{}", done.err);
    // A helper does not follow an address that is not the program's.
    let astray = raw("astray.bin", &[i(0xb7, 2, 0, 0, 64), i(0x85, 0, 0, 0, 1), EXIT]);
    for engine in engines() {
        let done = tool(&["run", "--raw", &astray, "--no-verify", "--engine", engine], "");
        assert!(done.out.contains("r0 = 0 (0x0)"), "{engine}: {}{}", done.out, done.err);
    }
    let unknown = raw("unknown.bin", &[i(0x85, 0, 0, 0, 7), EXIT]);
    for engine in engines() {
        let done = tool(&["run", "--raw", &unknown, "--no-verify", "--engine", engine], "");
        assert!(
            done.err.contains("helper 7") && done.err.contains("does not exist"),
            "{engine}: {}",
            done.err
        );
    }
    for engine in compiled() {
        let done = tool(&["run", "--raw", &wild, "--no-verify", "--engine", engine], "");
        assert_eq!(done.status, 1);
        assert!(
            done.err.starts_with("the compiled program was stopped (signal 11)"),
            "{engine}: {}",
            done.err
        );
    }
}

#[test]
fn a_missing_engine_is_said_plainly() {
    for (machine, emulator, variable) in
        [("aarch64", "qemu-aarch64", "AXIOM_QEMU_AARCH64"), ("x86_64", "qemu-x86_64", "AXIOM_QEMU_X86_64")]
    {
        if std::env::consts::ARCH == machine {
            continue; // It is never missing there.
        }
        let output = Command::new(env!("CARGO_BIN_EXE_axiom-bpf"))
            .args(["run", &data("iio_filter.o"), "--engine", &format!("jit-{machine}")])
            .env(variable, format!("/nowhere/{emulator}"))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        let expected = format!("{emulator} is missing: install it (Debian: apt install qemu-user)");
        assert!(text.contains(&expected), "{text}");
    }
}

#[test]
fn disasm_and_maps_show_what_is_in_an_object() {
    let done = tool(&["disasm", &data("statics.o")], "");
    assert_eq!(done.status, 0);
    for part in [
        "statics (timer/10hz):\n",
        "; map 'first'",
        "; map 'second'",
        "; '.rodata' + 16",
        "; ./statics.c:",
        "call 0x1 <bpf_map_lookup_elem>",
    ] {
        assert!(done.out.contains(part), "{part}: {}", done.out);
    }
    let done = tool(&["disasm", &data("calls.o"), "--prog", "first"], "");
    assert!(done.out.contains("\nshared:\n") && done.out.contains("\nleaf:\n"), "{}", done.out);
    let file = raw("two.bin", &[i(0xb7, 0, 0, 0, 1), EXIT]);
    assert_eq!(tool(&["disasm", "--raw", &file], "").out, "     0: r0 = 0x1\n     1: exit\n");
    let done = tool(&["maps", &data("statics.o")], "");
    let lines: Vec<Vec<&str>> = done.out.lines().map(|l| l.split_whitespace().collect()).collect();
    assert!(lines.contains(&vec!["second", "array", "4", "8", "1", "8", "zeros"]), "{}", done.out);
    assert!(
        lines.contains(&vec![".rodata", "array", "4", "20", "1", "24", "data,", "read-only"]),
        "{}",
        done.out
    );
}

#[test]
fn the_plugin_answers_as_the_suite_wants() {
    for engine in engines() {
        let run =
            |program: &[Insn], memory: &str| tool(&["plugin", "--engine", engine, memory], &hex(program));
        let done = run(&[i(0x71, 0, 1, 1, 0), EXIT], "aa bb");
        assert_eq!((done.status, done.out.as_str()), (0, "bb\n"), "{}", done.err);
        assert_eq!(run(&[i(0xbf, 0, 2, 0, 0), EXIT], "0102030405").out, "5\n");
        assert_eq!(
            tool(&["plugin", "--engine", engine], &hex(&[i(0xb7, 0, 0, 0, -1), EXIT])).out,
            "ffffffffffffffff\n"
        );
        // As the suite's runner calls it: memory, then the options that it passes on.
        assert_eq!(
            tool(&["aabb", "plugin", "--engine", engine], &hex(&[i(0x71, 0, 1, 0, 0), EXIT])).out,
            "aa\n"
        );
        assert_eq!(tool(&["", "plugin", "--engine", engine], &hex(&[i(0xbf, 0, 2, 0, 0), EXIT])).out, "0\n");
        // The suite's one helper hands its argument back.
        assert_eq!(run(&[i(0xb7, 1, 0, 0, 9), i(0x85, 0, 0, 0, 5), EXIT], "").out, "9\n");
    }
    let done = tool(&["plugin", "0g"], &hex(&[EXIT]));
    assert_eq!((done.status, done.err.contains("'0g' is not bytes in base 16")), (2, true));
    assert_eq!(tool(&["plugin", "aab"], &hex(&[EXIT])).status, 2);
}

#[test]
fn wrong_command_lines_are_told_what_is_wrong() {
    for (arguments, text) in [
        (&[] as &[&str], "say what to do"),
        (&["veryfy"], "there is no command 'veryfy'"),
        (&["verify"], "the object is missing"),
        (&["verify", "a.o", "b.o"], "2 names where one is wanted: the object"),
        (&["verify", "a.o", "--prog"], "--prog needs a value after it"),
        (&["verify", "a.o", "--quick"], "there is no option --quick"),
        (&["verify", "a.o", "--repeat", "2"], "verify has no option --repeat"),
        (&["maps", "a.o", "--json"], "maps has no option --json"),
        (
            &["run", "a.o", "--engine", "gpu"],
            "there is no engine 'gpu': interp, jit, jit-aarch64 or jit-x86_64",
        ),
        (&["run", "a.o", "--repeat", "0"], "--repeat 0: a number from 1 is wanted"),
        (&["run", "a.o", "--ctx", "a", "--ctx", "b"], "--ctx is given twice"),
        (&["run", "a.o", "--raw", "b"], "'a.o' is one word too many for run"),
    ] {
        let done = tool(arguments, "");
        assert_eq!(done.status, 2, "{arguments:?}");
        assert!(done.err.starts_with(&format!("axiom-bpf: {text}")), "{arguments:?}: {}", done.err);
        assert!(done.err.contains("axiom-bpf verify OBJ.o"), "the usage follows");
    }
    for arguments in [&["--help"] as &[&str], &["run", "--help"]] {
        let done = tool(arguments, "");
        assert_eq!((done.status, done.out.starts_with("axiom-bpf verify OBJ.o")), (0, true));
    }
}

#[test]
fn names_of_attach_points_that_no_host_can_read_are_refused() {
    for wrong in ["timer/00hz", "timer/abhz", "timer/10Hz", "iio///////", "gpio/a/5/x", "pwm/chip/x"] {
        let path = temporary("wrong_point.o", &moved_point(wrong)).display().to_string();
        let done = tool(&["verify", &path], "");
        assert_eq!(done.status, 1, "{wrong}: {}", done.out);
        let says =
            format!("the server of '{wrong}' has no such attach point; there are: iio/<device>/<channel>");
        assert!((done.out + &done.err).contains(&says), "{wrong}");
    }
}
