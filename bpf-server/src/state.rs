//! What the server knows: hosts, programs, clients, and the buffers that it keeps.

use crate::failure::{Failure, fail};
use crate::place::Windows;
use crate::placing::Loaded;
use crate::rights::Rights;
use crate::uploads::Uploads;
use crate::{Access, HostId, Platform};
use alloc::borrow::Cow;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use axiom_bpf_jit as jit;
use axiom_bpf_verifier::Verifier;
use axiom_proto::bpf::{MAX_TEXT, MAX_VALUE, ProgramId, Refusal, Reply, Setting, Stages};
use axiom_proto::env::ClientBadge;

/// Code is compiled into a buffer of this size first; it grows for larger programs.
const CODE_BUFFER: usize = 16 << 10;

/// An answer, and the frame that goes with it.
pub struct Outcome<'a> {
    /// The answer.
    pub reply: Reply<'a>,
    /// Which program's memory, page of it, and rights.
    pub frame: Option<(ProgramId, u32, Access)>,
}

/// A client, and why its last request was refused.
#[derive(Default)]
struct Refused {
    badge: ClientBadge,
    text: Cow<'static, str>,
}

/// The server's state.
pub struct Loader<P: Platform> {
    pub(crate) verifier: Verifier,
    pub(crate) compiler: jit::Compiler,
    /// Programs are interpreted instead (where the machine is not the compiler's target).
    pub(crate) interpret_only: bool,
    /// The compiler blinds constants.
    pub(crate) blinds: bool,
    pub(crate) code: Vec<u8>,
    pub(crate) windows: Vec<Windows>,
    /// What each host said it is, when it was asked last.
    pub(crate) generations: Vec<Option<u64>>,
    /// Hosts whose restart was noticed and not told yet.
    pub(crate) restarted: Vec<(HostId, usize, usize)>,
    pub(crate) programs: Vec<Loaded<P::Memory>>,
    pub(crate) next_id: u32,
    /// Why each client's last request was refused.
    refused: Vec<Refused>,
    pub(crate) uploads: Uploads,
    pub(crate) stages: Stages,
    pub(crate) value: [u8; MAX_VALUE],
    pub(crate) rights: Rights,
    /// The last to be dropped: in tests it says whose turn it is with the memory that the others are in.
    pub(crate) platform: P,
}

impl<P: Platform> Loader<P> {
    /// A loader without programs.
    pub fn new(platform: P, features: jit::Board, interpret_only: bool) -> Loader<P> {
        let hosts = platform.hosts();
        Loader {
            verifier: Verifier::new(),
            compiler: jit::Compiler::new(features),
            blinds: features.blind.is_some(),
            interpret_only,
            code: vec![0; CODE_BUFFER],
            windows: vec![Windows::new(); hosts],
            generations: vec![None; hosts],
            restarted: Vec::with_capacity(hosts),
            programs: Vec::new(),
            next_id: 1,
            refused: Vec::new(),
            uploads: Uploads::new(0),
            stages: Stages::default(),
            value: [0; MAX_VALUE],
            rights: Rights::default(),
            platform,
        }
    }

    /// What the manifest grants to programs; without it they may use no line, channel or motor.
    pub fn set_rights(&mut self, rights: Rights) {
        self.uploads.set_clients(rights.clients.len());
        self.rights = rights;
    }

    /// For tests that change what the manifest says.
    #[cfg(test)]
    pub(crate) fn rights_mut(&mut self) -> &mut Rights {
        &mut self.rights
    }

    /// For tests: no page or number of any host is taken.
    #[cfg(test)]
    pub(crate) fn windows_are_free(&self) -> bool {
        self.windows.iter().all(Windows::is_free)
    }

    /// The system underneath.
    pub fn platform(&mut self) -> &mut P {
        &mut self.platform
    }

    /// The memory of a program, for handing out a frame.
    pub fn memory(&mut self, id: ProgramId) -> Option<(&mut P, &mut P::Memory)> {
        let index = self.programs.iter().position(|p| p.id == id)?;
        let memory = self.programs[index].memory.as_mut()?;
        Some((&mut self.platform, memory))
    }

    /// Keeps why a request was refused, for its client to read. Where there is no memory to know one client more, nobody reads it.
    pub(crate) fn keep(&mut self, badge: ClientBadge, failure: Failure) -> Refusal {
        if let Some(known) = self.refused.iter_mut().find(|r| r.badge == badge) {
            known.text = failure.text;
        } else if self.refused.try_reserve(1).is_ok() {
            // One for each badge that init gave out.
            self.refused.push(Refused { badge, text: failure.text });
        }
        failure.refusal
    }

    /// A load begins: what was said of the one before is not kept any longer, since it lies wherever there was room.
    pub(crate) fn forget_text(&mut self, badge: ClientBadge) {
        if let Some(known) = self.refused.iter_mut().find(|r| r.badge == badge) {
            known.text = Cow::Borrowed("");
        }
    }

    /// A piece of why a client's last request was refused.
    pub(crate) fn verdict(&self, badge: ClientBadge, offset: usize) -> &str {
        let text = self.refused.iter().find(|r| r.badge == badge).map_or("", |r| &r.text);
        let Some(rest) = text.get(offset..) else { return "" };
        let mut end = rest.len().min(MAX_TEXT);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        &rest[..end]
    }

    /// Nothing is kept for a client that is gone.
    pub(crate) fn forget_texts(&mut self, badge: ClientBadge) {
        self.refused.retain(|r| r.badge != badge);
        self.uploads.forget(badge);
    }

    /// How many programs are loaded.
    pub fn loaded(&self) -> usize {
        self.programs.len()
    }

    pub(crate) fn find(&self, id: ProgramId) -> Result<usize, Failure> {
        let found = self.programs.iter().position(|p| p.id == id);
        found.ok_or_else(|| fail(Refusal::NotFound, format!("there is no program {}", id.0)))
    }
}

/// What a load asks for besides the object.
pub(crate) struct Wanted<'a> {
    pub(crate) program: &'a str,
    pub(crate) point: &'a str,
    pub(crate) attach: bool,
    pub(crate) replaces: Option<ProgramId>,
    pub(crate) settings: &'a [Option<Setting<'a>>],
}
