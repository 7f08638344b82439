//! The program `axiom-compose` as its caller sees it: what it writes, and what it says.
use std::path::PathBuf;
use std::process::{Command, Output};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("axiom-compose-program-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        // The smallest program: its code is in the header.
        for (name, base) in [("good", 0x20_0000u64), ("axiom-init", 0x40_0000), ("other-init", 0x40_0000)] {
            let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0\x01\0\0\0".to_vec();
            [base, 64, 0].iter().for_each(|word| elf.extend(word.to_le_bytes()));
            elf.extend([0; 4]);
            [64u16, 56, 1, 64, 0, 0].iter().for_each(|half| elf.extend(half.to_le_bytes()));
            [1u32, 5].iter().for_each(|word| elf.extend(word.to_le_bytes()));
            [0, base, base, 120, 120, 4096].iter().for_each(|word| elf.extend(word.to_le_bytes()));
            std::fs::write(dir.join(name), elf).unwrap();
        }
        let text = "[system]\nname = \"small\"\nboard = \"b\"\n[server.a]\nimage = \"good\"\npriority = 1\nbudget_us = 20\nperiod_us = 1000\n";
        std::fs::write(dir.join("system.toml"), text).unwrap();
        std::fs::write(dir.join("bad.toml"), text.replace("priority = 1", "priority = 1000")).unwrap();
        Self(dir)
    }

    fn run(&self, args: &str) -> Output {
        let program = env!("CARGO_BIN_EXE_axiom-compose");
        Command::new(program).args(args.split_whitespace()).current_dir(&self.0).output().unwrap()
    }

    fn says(&self, args: &str) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn refuses(&self, args: &str) -> String {
        let output = self.run(args);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{args}");
        String::from_utf8(output.stderr).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn it_writes_the_bundle_and_the_report_and_says_so() {
    let folder = Folder::new("writes");
    let said = folder.says("system.toml -o out --images . --report who");
    assert_eq!(said, "system 'small' for b: 1 servers, 16 KiB -> out\n");
    assert_eq!(std::fs::read(folder.0.join("out")).unwrap()[..4], *b"\x7fELF");
    assert!(std::fs::read_to_string(folder.0.join("who.md")).unwrap().contains("# System 'small'"));
    assert!(std::fs::read_to_string(folder.0.join("who.json")).unwrap().starts_with('{'));
    // Another root task may be named, and must be there.
    folder.says("system.toml --output other --images . --init other-init");
    assert!(
        folder
            .refuses("system.toml -o no --images . --init no-init")
            .contains("image \"no-init\" is not there")
    );
    assert!(!folder.0.join("no").exists());
}

#[test]
fn a_check_writes_nothing() {
    let folder = Folder::new("check");
    assert_eq!(
        folder.says("--check system.toml --images ."),
        "system 'small' for b: 1 servers, 16 KiB; nothing wrong\n"
    );
    assert_eq!(
        folder.says("--check system.toml --images . -o out --report who").matches("nothing wrong").count(),
        1
    );
    assert!(!folder.0.join("out").exists() && !folder.0.join("who.md").exists());
}

#[test]
fn mistakes_are_told_and_counted() {
    let folder = Folder::new("mistakes");
    let one = folder.refuses("bad.toml -o out --images .");
    assert!(
        one.starts_with("error: ") && one.ends_with("bad.toml: 1 mistake; nothing was written\n"),
        "{one}"
    );
    let two = folder.refuses("bad.toml -o out --images nowhere");
    assert!(two.contains("mistakes; nothing was written"), "{two}");
    assert!(
        folder
            .refuses("system.toml -o no/such/folder --images .")
            .contains("no/such/folder: cannot be written")
    );
}

#[test]
fn wrong_arguments_are_named_beside_the_usage() {
    let folder = Folder::new("arguments");
    for (args, why) in [
        ("system.toml -o", "-o needs a value\nusage: "),
        ("system.toml --nosuch", "unknown option '--nosuch'\nusage: "),
        ("system.toml second -o out", "'second' is one argument too many\nusage: "),
        ("-o out", "usage: "),
        ("system.toml", "usage: "),
        ("", "usage: "),
    ] {
        let said = folder.refuses(args);
        assert!(said.starts_with(why), "{args}: {said}");
    }
    for help in ["-h", "--help"] {
        assert!(folder.says(help).starts_with("usage: axiom-compose MANIFEST"));
    }
}
