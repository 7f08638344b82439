//! bpf-server, as a client sees it.
#![no_std]
extern crate alloc;

pub mod ring;

use alloc::string::String;
use axiom_runtime::proto::Error;
use axiom_runtime::proto::bpf::{
    INTERFACE, Info, MAX_INLINE, MAX_PIECE, ProgramId, Refusal, Reply, Request, Setting, Source, Stages,
};
use axiom_runtime::sel4::CPtr;
use axiom_runtime::{Buffer, CNode, Endpoint, call, call_with_cap, ipc};

/// A client of bpf-server.
#[derive(Clone, Copy)]
pub struct BpfServer(pub Endpoint);

/// A loaded program.
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    /// Its number.
    pub id: ProgramId,
    /// BPF instructions.
    pub insns: u32,
    /// Bytes of machine code.
    pub code_bytes: u32,
    /// The verifier's bound.
    pub worst_case: u64,
    /// That in machine instructions.
    pub cost: u64,
}

/// Why something was not done.
#[derive(Debug)]
pub enum Failure {
    /// bpf-server says so.
    Refused(Refusal),
    /// It could not be asked.
    Error(Error),
    /// Its answer is not one to this request.
    Surprise,
}

impl BpfServer {
    fn ask<'b>(self, request: &Request<'_>, buffer: &'b mut Buffer) -> Result<Reply<'b>, Failure> {
        match call(self.0, INTERFACE, request, buffer) {
            Ok(Reply::Refused(why)) => Err(Failure::Refused(why)),
            Ok(reply) => Ok(reply),
            Err(error) => Err(Failure::Error(error)),
        }
    }

    /// Loads an object of the bundle and attaches its program.
    pub fn load(
        self,
        blob: &str,
        replaces: Option<ProgramId>,
        settings: [Option<Setting<'_>>; 4],
    ) -> Result<Loaded, Failure> {
        self.request_load(Source::Blob(blob), replaces, settings, true)
    }

    fn request_load(
        self,
        source: Source<'_>,
        replaces: Option<ProgramId>,
        settings: [Option<Setting<'_>>; 4],
        attach: bool,
    ) -> Result<Loaded, Failure> {
        let request = Request::Load { source, program: "", point: "", attach, replaces, settings };
        match self.ask(&request, &mut Buffer::new())? {
            Reply::Loaded { program, insns, code_bytes, worst_case, cost } => {
                Ok(Loaded { id: program, insns, code_bytes, worst_case, cost })
            }
            _ => Err(Failure::Surprise),
        }
    }

    /// Loads an object of this client's: its end goes with the request, and what does not fit there is uploaded first.
    pub fn load_bytes(self, object: &[u8], attach: bool) -> Result<Loaded, Failure> {
        let mut offset = 0;
        while object.len() - offset > MAX_INLINE {
            let bytes = &object[offset..object.len().min(offset + MAX_PIECE)];
            self.ask(&Request::Upload { offset: offset as u32, bytes }, &mut Buffer::new())?;
            offset += bytes.len();
        }
        let source = match offset {
            0 => Source::Inline(object),
            _ => Source::Rest { offset: offset as u32, bytes: &object[offset..] },
        };
        self.request_load(source, None, [None; 4], attach)
    }

    /// Durations of the stages of the last load.
    pub fn stages(self) -> Option<Stages> {
        match self.ask(&Request::Stages, &mut Buffer::new()) {
            Ok(Reply::Stages(stages)) => Some(stages),
            _ => None,
        }
    }

    /// The text of the last refusal.
    pub fn verdict(self) -> String {
        let mut text = String::new();
        let mut buffer = Buffer::new();
        while let Ok(Reply::Text(part)) =
            self.ask(&Request::Verdict { offset: text.len() as u32 }, &mut buffer)
        {
            if part.is_empty() {
                break;
            }
            text.push_str(part);
        }
        text
    }

    /// Describes the first program after this number.
    pub fn next<R>(self, after: u32, f: impl FnOnce(&Info<'_>) -> R) -> Option<R> {
        match self.ask(&Request::List { after }, &mut Buffer::new()) {
            Ok(Reply::Info(info)) => Some(f(&info)),
            _ => None,
        }
    }

    /// Runs and acceptances of a program.
    pub fn counts(self, id: ProgramId) -> Option<(u64, u64)> {
        self.next(id.0 - 1, |info| (info.id == id).then_some((info.runs, info.accepted))).flatten()
    }

    /// Copies the beginning of a map's value.
    pub fn value(self, program: ProgramId, map: &str, key: u32, out: &mut [u8]) -> bool {
        let key = key.to_le_bytes();
        match self.ask(&Request::MapRead { program, map, key: &key }, &mut Buffer::new()) {
            Ok(Reply::Value(value)) if value.len() >= out.len() => {
                out.copy_from_slice(&value[..out.len()]);
                true
            }
            _ => false,
        }
    }

    /// Loads an object of the bundle and attaches its program at a point that its section does not name.
    pub fn load_at(
        self,
        blob: &str,
        point: &str,
        settings: [Option<Setting<'_>>; 4],
    ) -> Result<Loaded, Failure> {
        let source = Source::Blob(blob);
        let request = Request::Load { source, program: "", point, attach: true, replaces: None, settings };
        match self.ask(&request, &mut Buffer::new())? {
            Reply::Loaded { program, insns, code_bytes, worst_case, cost } => {
                Ok(Loaded { id: program, insns, code_bytes, worst_case, cost })
            }
            _ => Err(Failure::Surprise),
        }
    }

    /// Frees a program.
    pub fn unload(self, id: ProgramId) -> Result<(), Failure> {
        self.ask(&Request::Unload { program: id }, &mut Buffer::new()).map(|_| ())
    }

    /// Has this notification signalled when the program puts records into a ring buffer.
    pub fn notify(self, program: ProgramId, map: &str, notification: CPtr) -> Result<(), Failure> {
        let request = Request::Notify { program, map };
        let mut buffer = Buffer::new();
        match call_with_cap(self.0, INTERFACE, &request, Some(notification), &mut buffer) {
            Ok((Reply::Done, _)) => Ok(()),
            Ok((Reply::Refused(why), _)) => Err(Failure::Refused(why)),
            Ok(_) => Err(Failure::Surprise),
            Err(error) => Err(Failure::Error(error)),
        }
    }

    /// Moves the capability for a page of a map into `to`; returns the map's pages and whether this one may be written.
    pub fn map_frame(self, program: ProgramId, map: &str, page: u32, to: CPtr) -> Option<(u32, bool)> {
        let request = Request::MapFrame { program, map, page };
        let mut buffer = Buffer::new();
        let (reply, came) = call_with_cap::<_, Reply>(self.0, INTERFACE, &request, None, &mut buffer).ok()?;
        let Reply::Frame { pages, writable } = reply else { return None };
        (came && CNode::OWN.move_to(to, ipc::received()).is_ok()).then_some((pages, writable))
    }
}
