//! Where something died: function, file and line of the addresses that init and the kernel print, from the ELF files that were booted.
//!
//! A server's file is found by its code, byte for byte as it lies in the bundle, and the kernel's by its image: a file that was built
//! since, or by somebody else, gives no wrong line, but is said to be missing.
use axiom_proto::bundle::{MAGIC, System};
use object::{Object, ObjectSegment, SegmentFlags, elf};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Looks addresses up.
pub struct Symbols {
    kernel: PathBuf,
    bundle: Option<PathBuf>,
    folders: Vec<PathBuf>,
    /// Lines that were explained: who dies again and again the same way is told of once.
    told: RefCell<BTreeSet<String>>,
}

/// Kernel addresses are above that.
const KERNEL: u64 = 1 << 63;
const KERNEL_PANIC: &str = "axiom: KERNEL PANIC";
/// Lines of the kernel's that have addresses of its own.
const KERNEL_LINES: [&str; 2] = ["axiom: KERNEL FAULT", "axiom:   called from "];

impl Symbols {
    /// For that kernel's image and bundle; server files are looked for in the folders.
    pub fn new(kernel: &Path, bundle: Option<&Path>, folders: Vec<PathBuf>) -> Symbols {
        Symbols {
            kernel: kernel.to_owned(),
            bundle: bundle.map(Path::to_owned),
            folders,
            told: RefCell::default(),
        }
    }

    /// The folders that hold this build's server files: `TARGET/*/system` beside `TARGET/release/axiom-runner`.
    pub fn folders() -> Vec<PathBuf> {
        let target = std::env::current_exe().ok().and_then(|p| Some(p.parent()?.parent()?.to_owned()));
        let entries = target.and_then(|t| std::fs::read_dir(t).ok()).into_iter().flatten().flatten();
        let mut folders: Vec<PathBuf> =
            entries.map(|e| e.path().join("system")).filter(|p| p.is_dir()).collect();
        folders.sort();
        folders
    }

    /// What a line of the console means, a line for each address in it; nothing for all but a few lines.
    pub fn explain(&self, line: &str) -> Vec<String> {
        let kernels =
            line.starts_with(KERNEL_PANIC) || KERNEL_LINES.iter().any(|start| line.starts_with(start));
        let server = server_of(line);
        let (who, file) = match server {
            Some((name, _)) => (format!("'{name}'"), self.server(name)),
            None if kernels => ("the kernel".into(), self.kernel_file()),
            None => return Vec::new(),
        };
        if !self.told.borrow_mut().insert(line.to_owned()) {
            return Vec::new();
        }
        let file = match file {
            Ok(file) => file,
            Err(why) => return vec![format!("runner: {who} cannot be looked into: {why}")],
        };
        let text = server.map_or(line, |s| s.1);
        if let Some((path, number)) = panicked_at(text) {
            return function_at(&file, path, number);
        }
        let addresses = numbers(text).into_iter().filter(|a| (*a >= KERNEL) == kernels);
        addresses.flat_map(|a| look_up(&file, a, line.contains("called from"))).collect()
    }

    fn kernel_file(&self) -> Result<PathBuf, String> {
        let file = self.kernel.with_extension("elf");
        let image = std::fs::read(&self.kernel).map_err(|e| format!("{}: {e}", self.kernel.display()))?;
        // On some boards the image is the ELF file itself.
        if image.starts_with(b"\x7fELF") {
            return Ok(self.kernel.clone());
        }
        match code(&file) {
            Some(code) if image.starts_with(&code.bytes) => Ok(file),
            Some(_) => Err(format!("{} is not what {} was made of", file.display(), self.kernel.display())),
            None => Err(format!("{} is not there, or no ELF file", file.display())),
        }
    }

    /// The ELF file whose code the bundle has for that server.
    pub fn server(&self, name: &str) -> Result<PathBuf, String> {
        let bundle = self.bundle.as_ref().ok_or("there is no bundle")?;
        let bytes = std::fs::read(bundle).map_err(|e| format!("{}: {e}", bundle.display()))?;
        let wanted = booted(&bytes, name)
            .ok_or_else(|| format!("{} has no code of a server '{name}'", bundle.display()))?;
        let files = self.folders.iter().flat_map(|f| std::fs::read_dir(f).ok()).flatten().flatten();
        let same = |path: &PathBuf| code(path).is_some_and(|code| wanted.ends_with(&code.bytes));
        let mut files: Vec<PathBuf> =
            files.map(|e| e.path()).filter(|p| p.extension().is_none() && p.is_file()).collect();
        files.sort();
        files.into_iter().find(same).ok_or_else(|| {
            let folders: Vec<String> = self.folders.iter().map(|f| f.display().to_string()).collect();
            format!("no file in {} has its code; was it built since?", folders.join(" or "))
        })
    }
}

/// The server that a line of init's says died or panicked, and why.
fn server_of(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_prefix("init: '")?;
    line.split_once("' died: ").or_else(|| line.split_once("' panicked: "))
}

/// File and line of a panic.
fn panicked_at(text: &str) -> Option<(&str, u32)> {
    let (_, place) = text.split_once("panicked at ")?;
    let mut parts = place.split(':');
    Some((parts.next()?, parts.next()?.parse().ok()?))
}

/// The hexadecimal numbers of a text.
fn numbers(text: &str) -> Vec<u64> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter_map(|w| u64::from_str_radix(w.strip_prefix("0x")?, 16).ok()).collect()
}

/// A file's code.
struct Code {
    address: u64,
    bytes: Vec<u8>,
}

/// The executable segment of a file.
fn code(path: &Path) -> Option<Code> {
    let bytes = std::fs::read(path).ok()?;
    let file = object::File::parse(&*bytes).ok()?;
    let executable = |s: &object::Segment<'_, '_>| matches!(s.flags(), SegmentFlags::Elf { p_flags, .. } if p_flags.0 & elf::PF_X.0 != 0);
    let segment = file.segments().find(executable)?;
    let bytes = segment.data().ok().filter(|d| !d.is_empty())?.to_vec();
    Some(Code { address: segment.address(), bytes })
}

/// The executable segment of a server in a bundle; it begins at a page, before the code itself where that does not.
fn booted<'b>(bundle: &'b [u8], name: &str) -> Option<&'b [u8]> {
    // The magic also stands in init's code, which compares with it: the payload begins at a page.
    let starts = (0..bundle.len()).step_by(4096).filter(|at| bundle[*at..].starts_with(&MAGIC));
    for start in starts {
        let payload = &bundle[start..];
        let length = u32::from_le_bytes(payload.get(16..20)?.try_into().ok()?) as usize;
        let Some(system) = payload.get(24..24 + length).and_then(|d| postcard::from_bytes::<System>(d).ok())
        else {
            continue;
        };
        let server = system.servers.iter().find(|s| s.name == name)?;
        let segment = server.segments.iter().find(|s| s.execute)?;
        return payload.get(segment.offset as usize..(segment.offset + segment.file_size) as usize);
    }
    None
}

/// The function that a line of the source is in.
fn function_at(file: &Path, path: &str, line: u32) -> Vec<String> {
    let Ok(loader) = addr2line::Loader::new(file) else { return Vec::new() };
    let Ok(all) = loader.find_location_range(0, u64::MAX) else { return Vec::new() };
    for (address, _, location) in all {
        if location.line == Some(line) && location.file.is_some_and(|f| Path::new(f).ends_with(path)) {
            let said = look_up(file, address, false);
            // Its own frame; who it is inlined into is another's line.
            if let Some(first) = said.into_iter().find(|s| s.contains(&format!(":{line}"))) {
                let function = first.split_once(" is in ").map_or(first.clone(), |f| f.1.to_owned());
                return vec![format!(
                    "runner: the panic is in {}",
                    function.trim_start_matches("runner:   inlined into ")
                )];
            }
        }
    }
    Vec::new()
}

/// Function, file and line, the innermost first; a return address is of the call before it.
fn look_up(file: &Path, address: u64, returned: bool) -> Vec<String> {
    let Ok(loader) = addr2line::Loader::new(file) else {
        return vec![format!("runner: {} cannot be read", file.display())];
    };
    let at = if returned { address.saturating_sub(1) } else { address };
    // What is no code has no line; and functions that were left out of a program are described as if they lay at 0.
    let inside = |c: &Code| at.checked_sub(c.address).is_some_and(|offset| offset < c.bytes.len() as u64);
    if !code(file).as_ref().is_some_and(inside) {
        return Vec::new();
    }
    let mut out = Vec::new();
    let mut frames = loader.find_frames(at).ok();
    while let Some(frame) = frames.as_mut().and_then(|f| f.next().ok().flatten()) {
        let function = frame.function.and_then(|f| Some(f.demangle().ok()?.into_owned()));
        let place = frame.location.and_then(|l| Some(format!("{}:{}", tidy(l.file?), l.line?)));
        let before = if out.is_empty() { format!("{address:#x} is in") } else { "  inlined into".into() };
        let function = function.unwrap_or_else(|| "a function without a name".into());
        out.push(format!(
            "runner: {before} {function}, {}",
            place.unwrap_or_else(|| "of no known line".into())
        ));
    }
    if out.is_empty()
        && let Some(symbol) = loader.find_symbol(at)
    {
        out.push(format!("runner: {address:#x} is in {symbol}"));
    }
    out
}

/// A path as the tree has it, where it lies in the tree.
fn tidy(path: &str) -> String {
    let here = std::env::current_dir().ok();
    let inside = here.and_then(|h| Some(Path::new(path).strip_prefix(h).ok()?.display().to_string()));
    inside.unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_the_lines_that_have_them() {
        let line = "init: 'demo' died: at 0x212abc it touched 0x10, where nothing is mapped that allows it (fsr 0x92000046)";
        let (name, why) = server_of(line).unwrap();
        assert_eq!((name, numbers(why)), ("demo", vec![0x21_2abc, 0x10, 0x9200_0046]));
        assert_eq!(server_of("demo: init: 'x' died: at 0x1"), None, "only init says so");
        let (name, why) =
            server_of("init: 'x' panicked: panicked at servers/x/src/main.rs:12:5: no").unwrap();
        assert_eq!((name, panicked_at(why)), ("x", Some(("servers/x/src/main.rs", 12))));
        assert_eq!(numbers("axiom:   called from 0xffffffff80001234"), [0xffff_ffff_8000_1234]);
    }

    /// This very program: its code, a function of it, and what of it a bundle would hold.
    #[test]
    fn this_programs_own_function_is_named_with_its_line() {
        let own = std::env::current_exe().unwrap();
        let bytes = std::fs::read(&own).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        use object::ObjectSymbol;
        let symbol = file
            .symbols()
            .find(|s| s.name().is_ok_and(|n| n.contains("symbols") && n.contains("numbers")))
            .expect("the function that finds numbers");
        let said = look_up(&own, symbol.address(), false);
        assert!(said[0].contains("numbers") && said[0].contains("symbols.rs:"), "{said:?}");
        assert!(code(&own).is_some_and(|c| c.bytes.len() > 1000));
        assert_eq!(look_up(&own, 1, false), Vec::<String>::new());
        let line = 1 + line!();
        let said = function_at(&own, "runner/src/symbols.rs", line);
        assert!(said.len() == 1 && said[0].contains("this_programs_own_function"), "{said:?}");
    }

    #[test]
    fn a_server_that_is_not_in_the_bundle_is_said_to_be_missing() {
        let symbols = Symbols::new(Path::new("/nowhere"), Some(Path::new("/proc/self/exe")), Vec::new());
        let said = symbols.explain("init: 'demo' died: at 0x212abc an exception");
        assert_eq!(
            said,
            ["runner: 'demo' cannot be looked into: /proc/self/exe has no code of a server 'demo'"]
        );
        assert!(symbols.explain("demo: 0x1234").is_empty());
        let said = symbols.explain("axiom:   called from 0xffffffff80001234");
        assert!(said[0].starts_with("runner: the kernel cannot be looked into: /nowhere"), "{said:?}");
    }
}
