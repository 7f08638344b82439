//! Programs from files.

use crate::Failure;
use crate::args::Origin;
use axiom_bpf_isa::{Insn, MapDef, MapType, ProgramKind};
use axiom_bpf_object::Object;
use axiom_bpf_verdict::{self as verdict, Contents, Subject};
use axiom_bpf_verifier::{Accepted, Verifier};
use axiom_proto::point::Point;
use std::path::Path;

/// Reads a file.
pub fn file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|e| Failure::Usage(format!("{}: cannot be read: {e}", path.display())))
}

/// Reads the object in a file's bytes.
pub fn object<'a>(path: &Path, bytes: &'a [u8]) -> Result<Object<'a>, Failure> {
    Object::parse(bytes).map_err(|e| Failure::Refused(unreadable(path, bytes, &e)))
}

/// Why a file is no object that can be read: by its name, and what to do if it is a source.
pub fn unreadable(path: &Path, bytes: &[u8], error: &axiom_bpf_object::ObjectError) -> String {
    let (file, is_text) =
        (path.display(), !bytes.is_empty() && std::str::from_utf8(bytes).is_ok_and(|t| !t.contains('\0')));
    let extension = path.extension().and_then(|e| e.to_str());
    match extension {
        Some("c" | "h" | "i") if is_text => {
            let object = path.with_extension("o");
            format!(
                "{file}: this is a source in C, not an object: compile it first: clang -target bpf -mcpu=v4 -O2 -g -I \
                 bpf-server/programs/include -c {file} -o {}",
                object.display()
            )
        }
        _ if bytes.is_empty() => format!("{file}: the file is empty: did the compiler fail?"),
        // Of an object for BPF the device sees no name, and what it says stands alone.
        _ if bytes.starts_with(b"\x7fELF") && bytes.get(18..20) == Some(&[247, 0]) => error.to_string(),
        _ => format!("{file}: {error}"),
    }
}

/// A map as it is to be made.
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub def: MapDef,
    /// What its first value starts with.
    pub bytes: Vec<u8>,
}

/// Everything that a run needs.
pub struct Ready {
    /// The program's name.
    pub name: String,
    /// Its instructions.
    pub insns: Vec<Insn>,
    /// Its maps.
    pub maps: Vec<Wanted>,
    /// Bytes of its context; for plain instructions as many as there are.
    pub context: Option<usize>,
    /// Whether it is plain instructions.
    pub raw: bool,
    /// What the verifier says, unless it was not asked.
    pub accepted: Option<Accepted>,
}

/// The kind of an attach point; a name that no host can read is refused here as it is there.
pub fn kind(section: &str) -> Result<ProgramKind, Failure> {
    let forms = "there are: iio/<device>/<channel>, timer/<n>hz, gpio/<chip>/<line>/<rising|falling|both>, \
                 pwm/<chip>/<channel>";
    let kind = ProgramKind::from_section(section)
        .ok_or_else(|| Failure::Refused(format!("nobody serves attach points like '{section}'; {forms}")))?;
    match Point::parse(section) {
        Some(_) => Ok(kind),
        None => Err(Failure::Refused(format!("the server of '{section}' has no such attach point; {forms}"))),
    }
}

/// A refusal as the device would say it.
pub fn refused(refused: verdict::Refused) -> Failure {
    Failure::Refused(refused.text.into_owned())
}

/// The map of plain instructions.
pub const RAW_MAP: MapDef = MapDef {
    map_type: MapType::Array,
    key_size: 4,
    value_size: 8,
    max_entries: 64,
    flags: 0,
    read_only: false,
};

/// Plain instructions.
pub fn raw(bytes: &[u8]) -> Result<Vec<Insn>, Failure> {
    match axiom_bpf_isa::insn::decode_all(bytes) {
        Some(insns) if !insns.is_empty() => Ok(insns),
        _ => Err(Failure::Usage(format!(
            "{} bytes are not a whole number of instructions of 8 bytes",
            bytes.len()
        ))),
    }
}

/// What can be done with a program that only the verifier refuses.
const ALL_THE_SAME: &str = "; --no-verify runs it all the same (the interpreter checks each access; compiled code runs in a process of its own)";

/// A refusal as `verify` says it, and that nothing was run.
fn not_run(head: &str, path: &Path, but: &str, failure: Failure) -> Failure {
    match failure {
        Failure::Refused(text) => {
            Failure::Refused(format!("{head}: refused\n{text}\n{}: not run{but}", path.display()))
        }
        usage => usage,
    }
}

/// Reads a program, and verifies it if told to. `context` is the number of bytes that plain instructions have.
pub fn ready(origin: &Origin, verify: bool, context: usize) -> Result<Ready, Failure> {
    match origin {
        Origin::Raw(path) => {
            let insns = raw(&file(path)?)?;
            let judge = || {
                let head = path.display().to_string();
                judge_raw(&insns, context).map_err(|f| not_run(&head, path, ALL_THE_SAME, f))
            };
            let accepted = if verify { Some(judge()?) } else { None };
            let map = Wanted { name: "map 0".into(), def: RAW_MAP, bytes: Vec::new() };
            let name = path.display().to_string();
            Ok(Ready { name, insns, maps: vec![map], context: None, raw: true, accepted })
        }
        Origin::Object(path, name) => {
            let bytes = file(path)?;
            let object = object(path, &bytes)?;
            let entry = *verdict::choose(&object, name).map_err(|r| match r.wrong {
                verdict::Wrong::Ambiguous => Failure::Refused(format!("{} (--prog NAME)", r.text)),
                _ => refused(r),
            })?;
            let head = format!("{} ({})", entry.name, entry.section);
            let not_run = |f| not_run(&head, path, "", f);
            let kind = kind(entry.section).map_err(not_run)?;
            let program = object.program(&entry).map_err(|e| not_run(Failure::Refused(e.to_string())))?;
            let contents = Contents::new(&object, &[]).map_err(|r| not_run(refused(r)))?;
            let judged = Subject {
                object: &object,
                program: &program,
                contents: &contents,
                ctx: kind.layout(),
                room: None,
            };
            let verdict = || {
                let judge = judged.verdict(&mut Verifier::new());
                judge.map_err(|r| self::not_run(&head, path, ALL_THE_SAME, refused(r)))
            };
            let accepted = if verify { Some(verdict()?) } else { None };
            let map = |(i, m): (usize, &axiom_bpf_object::Map<'_>)| Wanted {
                name: m.name.into(),
                def: m.def,
                bytes: contents.bytes(i).unwrap_or(&[]).to_vec(),
            };
            let maps = object.maps().iter().enumerate().map(map).collect();
            let context = Some(kind.layout().size as usize);
            Ok(Ready { name: entry.name.into(), insns: program.insns, maps, context, raw: false, accepted })
        }
    }
}

/// Verifies plain instructions, whose context is so many bytes.
fn judge_raw(insns: &[Insn], context: usize) -> Result<Accepted, Failure> {
    let kind = ProgramKind::Iio;
    let size =
        u32::try_from(context).map_err(|_| Failure::Usage("the context is larger than 4 GiB".into()))?;
    let ctx = axiom_bpf_isa::CtxLayout { size, ..kind.layout() };
    let env = axiom_bpf_verifier::Env {
        maps: &[RAW_MAP],
        contents: &[],
        ctx,
        helpers: Some(kind.helpers()),
        limits: axiom_bpf_verifier::Limits::default(),
    };
    axiom_bpf_verifier::verify(&axiom_bpf_verifier::Program { insns, lines: None }, &env)
        .map_err(|refusal| Failure::Refused(verdict::explain(&refusal, insns, |_| None)))
}
