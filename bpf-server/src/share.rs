//! Whose programs are whose, and how much one client may have.

use crate::failure::{Failure, fail};
use crate::state::Wanted;
use crate::{Loader, Platform};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use axiom_proto::bpf::{ProgramId, Refusal, Source};
use axiom_proto::env::ClientBadge;
use axiom_proto::gpio::ProgramGrants;

/// Programs of one client: a host has places for four times as many.
pub const PROGRAMS_PER_CLIENT: usize = 8;
/// Rates that one client may ask for: a timer each.
pub const RATES_PER_CLIENT: usize = 2;
/// Programs of one client on one attach point: others have room beside them.
pub const PER_POINT: usize = 2;

#[cold]
fn no_share(point: &str, here: bool) -> Failure {
    let text = match here {
        true => format!("a client has at most {PER_POINT} programs at one attach point: '{point}' has them"),
        false => format!("a client has at most {PROGRAMS_PER_CLIENT} programs: unload one first"),
    };
    fail(Refusal::Resources, text)
}

impl<P: Platform> Loader<P> {
    /// The program of this number, if it is the client's.
    pub(crate) fn owned(&self, badge: ClientBadge, id: ProgramId) -> Result<usize, Failure> {
        let index = self.find(id)?;
        let program = &self.programs[index];
        if program.owner == badge {
            return Ok(index);
        }
        let pinned = if program.pinned { ", and the manifest pins it" } else { "" };
        let text = format!("program {} belongs to '{}'{pinned}", id.0, self.rights.name(program.owner));
        Err(fail(Refusal::NotOwner, text))
    }

    pub(crate) fn pages_of(&self, owner: ClientBadge) -> u32 {
        self.programs.iter().filter(|p| p.owner == owner && !p.pinned).map(|p| p.held).sum()
    }

    /// Whether a client may have one more program at a point.
    pub(crate) fn has_room(&self, owner: ClientBadge, point: &str, replaces: bool) -> Result<(), Failure> {
        if replaces {
            return Ok(());
        }
        let (mut programs, mut here) = (0, 0);
        let (mut rates, mut count) = ([""; RATES_PER_CLIENT], 0);
        for p in self.programs.iter().filter(|p| p.owner == owner && !p.pinned) {
            programs += 1;
            here += usize::from(p.point == point);
            if p.point.starts_with("timer/") && !rates[..count].contains(&p.point.as_str()) {
                rates[count] = &p.point;
                count += 1;
            }
        }
        if programs >= PROGRAMS_PER_CLIENT || here >= PER_POINT {
            return Err(no_share(point, here >= PER_POINT));
        }
        if here == 0 && count == RATES_PER_CLIENT && point.starts_with("timer/") {
            let text = format!(
                "a client's programs run at no more than {RATES_PER_CLIENT} rates, and they do at {}",
                rates.join(" and ")
            );
            return Err(fail(Refusal::Resources, text));
        }
        Ok(())
    }

    /// A client died, or was started anew: its programs go, but for those that the manifest pins, and so does its upload. Returns how
    /// many programs went.
    pub fn forget_client(&mut self, badge: ClientBadge) -> usize {
        let mut count = 0;
        while let Some(p) = self.programs.iter().find(|p| p.owner == badge && !p.pinned) {
            let id = p.id;
            count += usize::from(self.unload(id).is_ok());
        }
        self.forget_texts(badge);
        count
    }

    /// Loads what the manifest pins, each at its attach point. Returns each program's name with what went wrong, if something did.
    pub fn load_pinned(&mut self) -> Vec<(String, Option<String>)> {
        let pinned = |p: &ProgramGrants| {
            Some((p.program.clone(), p.object.clone(), p.owner.clone(), p.pinned.clone()?))
        };
        let wanted: Vec<_> = self.rights.programs.iter().filter_map(pinned).collect();
        let mut results = Vec::with_capacity(wanted.len());
        for (program, object, owner, point) in wanted {
            let owner = self.rights.badge(&owner).unwrap_or(ClientBadge::NOBODY);
            let request =
                Wanted { program: &program, point: &point, attach: true, replaces: None, settings: &[] };
            let result = self.load(owner, Source::Blob(&object), &request, (0, 0));
            let loaded = result.as_ref().ok().map(|loaded| loaded.program);
            if let Some(p) = self.programs.iter_mut().find(|p| Some(p.id) == loaded) {
                p.pinned = true;
            }
            results.push((program, result.err().map(|failure| failure.text.into_owned())));
        }
        results
    }
}
