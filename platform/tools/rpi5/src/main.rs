//! `axiom-rpi5`: the image of an SD card for the Raspberry Pi 5, writing it, and the board's serial console.
use axiom_rpi5::card::{self, Contents, Entry, Loaded};
use axiom_rpi5::console::{self, End, RawTerminal, Session};
use axiom_rpi5::disks::{SystemFolders, size};
use axiom_rpi5::flash::{self, Step};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
axiom-rpi5 image -o IMAGE --config FILE --kernel FILE --bundle FILE --tree FILE=NAME... [--dtb PATH]
    [--commit TEXT]
    makes a card's image; --dtb takes the official device tree instead of --tree's: a file, or the
    folder of a mounted Raspberry Pi OS boot partition; --commit is kept in config.txt
axiom-rpi5 list IMAGE            what is in it
axiom-rpi5 unpack IMAGE FOLDER [--d0]
    kernel.img, initramfs.bundle and board.dtb: what the firmware would load
axiom-rpi5 flash IMAGE [DISK|FILE] [--yes-really]
    writes it and reads it back; without a disk, lists those that can be removed
axiom-rpi5 console [PORT] [--log FILE] [--until-verdict] [--patience SECONDS]
    the serial console, 115200 8N1, to the terminal and the log; leave with Ctrl-A x

exit status: 0 done, 1 failed, 2 not understood or refused";

/// Why the program ends.
enum EndsWith {
    /// The request makes no sense, or is refused.
    Refused(String),
    /// It was tried and failed.
    Failed(String),
}

impl From<String> for EndsWith {
    fn from(message: String) -> Self {
        Self::Failed(message)
    }
}

fn main() -> ExitCode {
    axiom_terminal::end_with_the_pipe();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.split_first() {
        Some((command, rest)) if command == "image" => image(rest),
        Some((command, rest)) if command == "list" => list(rest),
        Some((command, rest)) if command == "unpack" => unpack(rest),
        Some((command, rest)) if command == "flash" => flash_card(rest),
        Some((command, rest)) if command == "console" => talk(rest),
        Some((help, _)) if help == "--help" || help == "-h" => {
            println!("{HELP}");
            Ok(())
        }
        Some((other, _)) => Err(EndsWith::Refused(format!("unknown command '{other}'; see --help"))),
        None => Err(EndsWith::Refused(format!("what shall be done?\n{HELP}"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(EndsWith::Refused(message)) => {
            eprintln!("axiom-rpi5: {message}");
            ExitCode::from(2)
        }
        Err(EndsWith::Failed(message)) => {
            eprintln!("axiom-rpi5: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Options with their values.
type Found = Vec<(String, String)>;

/// Takes `--name VALUE` pairs, flags and plain words apart.
fn parse(args: &[String], options: &[&str], flags: &[&str]) -> Result<(Found, Vec<String>), EndsWith> {
    let (mut found, mut plain) = (Vec::new(), Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if options.contains(&arg.as_str()) {
            let value =
                args.next().ok_or_else(|| EndsWith::Refused(format!("{arg} needs a value; see --help")))?;
            found.push((arg.clone(), value.clone()));
        } else if flags.contains(&arg.as_str()) {
            found.push((arg.clone(), String::new()));
        } else if arg.starts_with("--") {
            return Err(EndsWith::Refused(format!("unknown option '{arg}'; see --help")));
        } else if !arg.is_empty() {
            plain.push(arg.clone());
        }
    }
    Ok((found, plain))
}

fn value<'a>(found: &'a [(String, String)], name: &str) -> Option<&'a str> {
    found.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

fn needed<'a>(found: &'a [(String, String)], name: &str) -> Result<&'a str, EndsWith> {
    value(found, name).ok_or_else(|| EndsWith::Refused(format!("{name} is missing; see --help")))
}

fn bytes(path: impl AsRef<Path>) -> Result<Vec<u8>, String> {
    let path = path.as_ref();
    std::fs::read(path).map_err(|e| format!("{}: cannot be read: {e}", path.display()))
}

/// The device trees for a card: official ones, or ours.
fn trees(found: &[(String, String)], config: &mut String) -> Result<(Vec<Entry>, String), String> {
    let Some(official) = value(found, "--dtb") else {
        let mut trees = Vec::new();
        for (_, text) in found.iter().filter(|(n, _)| n == "--tree") {
            let (file, name) =
                text.split_once('=').ok_or_else(|| format!("--tree {text}: write FILE=NAME"))?;
            trees.push(Entry { path: name.into(), bytes: bytes(file)? });
        }
        // Ours says what the SoC and RP1 have, which all of these boards have.
        if let Some(ours) = trees.iter().find(|t| t.path == card::TREE_C1).map(|t| t.bytes.clone()) {
            let named = |name: &&str| !found.iter().any(|(_, text)| text.ends_with(&format!("={name}")));
            let others = card::TREES_OF_OTHERS.into_iter().filter(named);
            trees.extend(others.map(|name| Entry { path: name.into(), bytes: ours.clone() }));
        }
        return Ok((trees, "Axiom's own".into()));
    };
    let path = Path::new(official);
    if !path.is_dir() {
        // One tree for any board: the firmware is told its name.
        let name = path.file_name().and_then(|n| n.to_str()).ok_or("--dtb: a file or a folder")?;
        config.push_str(&format!(
            "# The one device tree that was given when this card was made.\ndevice_tree={name}\n"
        ));
        return Ok((vec![Entry { path: name.into(), bytes: bytes(path)? }], official.into()));
    }
    let mut trees = vec![Entry { path: card::TREE_C1.into(), bytes: bytes(path.join(card::TREE_C1))? }];
    if path.join(card::TREE_D0).exists() {
        trees.push(Entry { path: card::TREE_D0.into(), bytes: bytes(path.join(card::TREE_D0))? });
    } else {
        println!("image: {official} has no {}: boards with stepping D0 need it", card::TREE_D0);
    }
    for name in card::TREES_OF_OTHERS.into_iter().filter(|name| path.join(name).exists()) {
        trees.push(Entry { path: name.into(), bytes: bytes(path.join(name))? });
    }
    Ok((trees, official.into()))
}

fn image(args: &[String]) -> Result<(), EndsWith> {
    let options = ["-o", "--config", "--kernel", "--bundle", "--tree", "--dtb", "--commit"];
    let (found, plain) = parse(args, &options, &[])?;
    if let Some(word) = plain.first() {
        return Err(EndsWith::Refused(format!("'{word}' is not understood; see --help")));
    }
    let output = PathBuf::from(needed(&found, "-o")?);
    let mut config = String::from_utf8(bytes(needed(&found, "--config")?)?)
        .map_err(|_| EndsWith::Failed("config.txt is not text".into()))?;
    let (trees, source) = trees(&found, &mut config)?;
    if let Some(commit) = value(&found, "--commit") {
        if !commit.bytes().all(|b| b.is_ascii_graphic()) || commit.len() > 60 {
            return Err(EndsWith::Refused(format!("--commit '{commit}': one word of at most 60 characters")));
        }
        config.push_str(&format!("{COMMIT}{commit}\n"));
    }
    let contents = Contents {
        config,
        kernel: bytes(needed(&found, "--kernel")?)?,
        bundle: bytes(needed(&found, "--bundle")?)?,
        trees,
    };
    let entries = contents.entries()?;
    let image = card::build(&entries)?;
    std::fs::write(&output, &image).map_err(|e| format!("{}: cannot be written: {e}", output.display()))?;
    println!("image: {} ({}), device tree: {source}", output.display(), size(image.len() as u64));
    show(&entries, &image);
    Ok(())
}

/// How the line of config.txt begins that says what the card was made from.
const COMMIT: &str = "# Made from commit ";

fn show(entries: &[Entry], image: &[u8]) {
    let config = entries.iter().find(|e| e.path == "config.txt").map(|e| String::from_utf8_lossy(&e.bytes));
    let commit = config.iter().flat_map(|text| text.lines()).find_map(|line| line.strip_prefix(COMMIT));
    say(&format!("image:   made from commit {}", commit.unwrap_or("unknown")));
    let line = |name: &str, bytes: usize, sha256: &str| {
        say(&format!("image:   {name:<28} {bytes:>9} bytes  sha256 {sha256}"));
    };
    for entry in entries {
        line(&entry.path, entry.bytes.len(), &entry.sha256());
    }
    line("the whole image", image.len(), &card::sha256(image));
}

/// A line, on a terminal in pieces of its width. Pipes and files get it whole.
fn say(line: &str) {
    if std::io::stdout().is_terminal() {
        let pieces = axiom_terminal::below(line, axiom_terminal::COLUMNS, "image:     ");
        pieces.iter().for_each(|piece| println!("{piece}"));
    } else {
        println!("{line}");
    }
}

fn list(args: &[String]) -> Result<(), EndsWith> {
    let [path] = args else { return Err(EndsWith::Refused("list takes one image; see --help".into())) };
    let image = bytes(path)?;
    show(&card::read(&image)?, &image);
    Ok(())
}

fn unpack(args: &[String]) -> Result<(), EndsWith> {
    let (found, plain) = parse(args, &[], &["--d0"])?;
    let [path, folder] = plain.as_slice() else {
        return Err(EndsWith::Refused("unpack takes an image and a folder; see --help".into()));
    };
    let entries = card::read(&bytes(path)?).map_err(|e| format!("{path}: {e}"))?;
    let loaded = Loaded::of(&entries, value(&found, "--d0").is_some())?;
    let folder = Path::new(folder);
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let files: [(&str, &[u8]); 3] =
        [("kernel.img", &loaded.kernel), ("initramfs.bundle", &loaded.bundle), ("board.dtb", &loaded.tree)];
    for (name, content) in files {
        let to = folder.join(name);
        std::fs::write(&to, content).map_err(|e| format!("{}: {e}", to.display()))?;
    }
    println!("kernel {:#x} initramfs {:#x}", loaded.config.kernel_address, loaded.config.initramfs_address);
    Ok(())
}

fn flash_card(args: &[String]) -> Result<(), EndsWith> {
    let (found, plain) = parse(args, &[], &["--yes-really"])?;
    let system = SystemFolders::default();
    let (path, target) = match plain.as_slice() {
        [image] => return removable(&system, image),
        [image, target] => (image, target),
        _ => return Err(EndsWith::Refused("flash takes an image and a disk; see --help".into())),
    };
    let image = bytes(path)?;
    card::read(&image).map_err(|e| format!("{path}: {e}"))?;
    let forced = value(&found, "--yes-really").is_some();
    let ours = |file: &Path| std::fs::read(file).is_ok_and(|bytes| card::is_ours(&bytes));
    let (to, disk) = system.target(target, image.len() as u64, forced, ours).map_err(EndsWith::Refused)?;
    if let Some(disk) = disk {
        println!(
            "flash: {} ({}, {}): everything on it will be gone",
            disk.name,
            disk.model,
            size(disk.bytes)
        );
    }
    let total = image.len() as u64;
    let mut shown = None;
    let watched = std::io::stderr().is_terminal();
    let written = flash::write(&to, &image, |step, done| {
        let what = if step == Step::Writing { "writing" } else { "reading back" };
        let now = (step, done * 20 / total);
        if watched && shown != Some(now) {
            shown = Some(now);
            eprint!("\rflash: {what:<12} {:>3} %", now.1 * 5);
            // Progress is a courtesy.
            let _ = std::io::stderr().flush();
        }
    });
    if watched {
        eprintln!();
    }
    written.map_err(|e| format!("{}: {e}", to.display()))?;
    println!("flash: {} bytes written to {} and read back: equal", total, to.display());
    println!("{AFTERWARDS}");
    Ok(())
}

/// What the user does next.
const AFTERWARDS: &str = "\
Next:
  1. Connect a 3.3 V serial adapter to the 3-pin connector between the HDMI sockets (JST-SH, marked UART):
     board TX to adapter RX, board RX to adapter TX, ground to ground. 115200 baud, 8N1. Never 5 V.
  2. Start the console:  just console-rpi5        (log: target/axiom/logs/rpi5.log)
  3. Put the card in, power on. First come the firmware's lines, which name the files it loads, then
     `axiom: ...` lines of the kernel, `init: ...`, the servers, and at the end `axiom: run ended: ...`.
  4. Nothing at all: see docs/platforms/rpi5.md. What to report back is listed there too.
  This system ran on a model of the board only. No Raspberry Pi 5 has booted it yet that we know of.";

fn removable(system: &SystemFolders, image: &str) -> Result<(), EndsWith> {
    let disks: Vec<_> = system.disks().into_iter().filter(|d| d.removable).collect();
    if disks.is_empty() {
        println!(
            "flash: no removable disk is there. Put the card into a reader, then: just flash-rpi5 DEVICE"
        );
    }
    for disk in disks {
        let used = if disk.used_by.is_empty() {
            String::new()
        } else {
            format!("  IN USE: {}", disk.used_by.join(", "))
        };
        let room = if disk.bytes == 0 { "no card".into() } else { size(disk.bytes) };
        println!("flash: {:<10} {room:>10}  {}{used}", disk.name, disk.model);
    }
    println!("flash: `just flash-rpi5 DEVICE` writes {image} to it");
    Ok(())
}

fn talk(args: &[String]) -> Result<(), EndsWith> {
    let (found, plain) = parse(args, &["--log", "--patience"], &["--until-verdict"])?;
    let port =
        console::choose(plain.first().map(String::as_str), Path::new("/dev")).map_err(EndsWith::Refused)?;
    let patience = match value(&found, "--patience") {
        None => None,
        Some(text) => Some(std::time::Duration::from_secs(
            text.parse()
                .map_err(|_| EndsWith::Refused(format!("--patience {text}: seconds, a whole number")))?,
        )),
    };
    let session = Session {
        log: value(&found, "--log").unwrap_or("target/axiom/logs/rpi5.log").into(),
        until_verdict: value(&found, "--until-verdict").is_some(),
        patience,
        port,
        colours: axiom_terminal::colours_wanted(),
    };
    eprintln!(
        "console: {} at {} 8N1, log {}; leave with Ctrl-A x",
        session.port.display(),
        console::BAUD,
        session.log.display()
    );
    let raw = RawTerminal::enter();
    let end = session.run(std::io::stdin(), std::io::stdout());
    drop(raw);
    match end? {
        End::Verdict(text) if text == "ok" => Ok(()),
        End::Verdict(text) => Err(EndsWith::Failed(format!("the run ended {text}"))),
        End::Left => Ok(()),
        End::Silence => Err(EndsWith::Failed("the board went silent without a verdict".into())),
    }
}
