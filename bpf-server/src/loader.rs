//! Requests, one by one; and hosts that are started anew.

use crate::failure::{Failure, fail, no_memory};
use crate::load::Summary;
use crate::placing::{Packed, attach_placed, check, place_code, place_maps};
use crate::room::FLOOR;
use crate::state::{Outcome, Wanted};
use crate::{HostId, Loader, Platform};
use alloc::format;
use alloc::vec::Vec;
use axiom_proto::bpf::{ProgramId, Refusal, Reply, Request};
use axiom_proto::bpf_host;
use axiom_proto::env::ClientBadge;

impl<P: Platform> Loader<P> {
    /// Answers a request of the client with this badge. `arrived` is the counter (ticks, cycles) at its arrival.
    pub fn handle(&mut self, badge: ClientBadge, request: &Request<'_>, arrived: (u64, u64)) -> Outcome<'_> {
        let mut frame = None;
        let result = match *request {
            Request::Upload { .. } | Request::Load { .. } | Request::Notify { .. }
                if !P::has_memory(FLOOR) =>
            {
                Err(no_memory())
            }
            Request::Upload { offset, bytes } => {
                let now = self.platform.milliseconds();
                self.uploads.add::<P>(badge, offset, bytes, now).map(|()| Reply::Done)
            }
            Request::Load { source, program, point, attach, replaces, ref settings } => {
                let wanted = Wanted { program, point, attach, replaces, settings };
                match self.load(badge, source, &wanted, arrived) {
                    Ok(Summary { program, insns, code_bytes, worst_case, cost }) => {
                        let reply = Reply::Loaded { program, insns, code_bytes, worst_case, cost };
                        return Outcome { reply, frame: None };
                    }
                    Err(failure) => Err(failure),
                }
            }
            Request::Attach { program } => {
                self.owned(badge, program).and_then(|_| self.attach(program)).map(|()| Reply::Done)
            }
            Request::Detach { program } => {
                self.owned(badge, program).and_then(|_| self.detach(program)).map(|()| Reply::Done)
            }
            Request::Unload { program } => {
                self.owned(badge, program).and_then(|_| self.unload(program)).map(|()| Reply::Done)
            }
            Request::List { after } => return Outcome { reply: self.list(after), frame: None },
            Request::Verdict { offset } => {
                return Outcome { reply: Reply::Text(self.verdict(badge, offset as usize)), frame: None };
            }
            Request::MapRead { program, map, key } => match self.map_read(badge, program, map, key) {
                Ok(size) => return Outcome { reply: Reply::Value(&self.value[..size]), frame: None },
                Err(f) => Err(f),
            },
            Request::MapFrame { program, map, page } => {
                self.map_frame(badge, program, map, page).map(|(reply, f)| {
                    frame = Some(f);
                    reply
                })
            }
            Request::Notify { program, map } => self.notify(badge, program, map).map(|()| Reply::Done),
            Request::Stages => Ok(Reply::Stages(self.stages)),
        };
        let reply = match result {
            Ok(reply) => reply,
            Err(failure) => Reply::Refused(self.keep(badge, failure)),
        };
        Outcome { reply, frame }
    }

    /// Asks every host which start it is; those that were restarted get their programs again. Returns for each of them how
    /// many programs it has, and how many could not be placed.
    pub fn check_hosts(&mut self) -> Vec<(HostId, usize, usize)> {
        let mut restarted = core::mem::take(&mut self.restarted);
        restarted.extend(self.find_restarted());
        restarted
    }

    /// Whether a host was restarted since it was asked last; the next [`Loader::check_hosts`] tells of it.
    pub(crate) fn was_restarted(&mut self, host: HostId) -> bool {
        let found = self.find_restarted();
        self.restarted.extend(&found);
        found.iter().any(|r| r.0 == host)
    }

    fn find_restarted(&mut self) -> Vec<(HostId, usize, usize)> {
        let mut restarted = Vec::new();
        for host in 0..self.generations.len() {
            let reply = self.platform.call_host(HostId(host), &bpf_host::Request::Hello, None);
            let Some(bpf_host::Reply::Generation(now)) = reply else { continue };
            let before = self.generations[host].replace(now);
            if before.is_some_and(|b| b != now) {
                let (all, failed) = self.host_restarted(HostId(host));
                restarted.push((HostId(host), all, failed));
            }
        }
        restarted
    }

    /// A hosting server was started anew: everything of its goes there again. Returns how many programs, and how many of
    /// them could not be placed.
    pub fn host_restarted(&mut self, host: HostId) -> (usize, usize) {
        let (mut all, mut failed) = (0, 0);
        for program in self.programs.iter_mut().filter(|p| p.host == host) {
            all += 1;
            let attached = core::mem::take(&mut program.attached);
            // A program that was being loaded when its host died may be on the new one already, in part or whole: the host
            // forgets what it has of it. What it does not have, it refuses to forget, which is as good.
            self.platform.call_host(host, &bpf_host::Request::Detach { program: program.id }, None);
            for map in &program.maps {
                self.platform.call_host(host, &bpf_host::Request::RemoveMap { slot: map.slot }, None);
            }
            let code = bpf_host::Request::RemoveCode { page: program.code_page, pages: program.code_pages };
            self.platform.call_host(host, &code, None);
            let mut maps = Packed::new();
            let placed = place_maps(&mut self.platform, program, attached, &mut maps)
                .and_then(|()| place_code(&mut self.platform, program, attached, None, maps.bytes()));
            failed += placed.is_err() as usize;
        }
        (all, failed)
    }

    fn attach(&mut self, id: ProgramId) -> Result<(), Failure> {
        let index = self.find(id)?;
        let program = &mut self.programs[index];
        if program.attached {
            return Err(fail(Refusal::BadRequest, format!("program {} is attached already", id.0)));
        }
        attach_placed(&mut self.platform, program, None, None, &[])
    }

    fn detach(&mut self, id: ProgramId) -> Result<(), Failure> {
        let index = self.find(id)?;
        let program = &mut self.programs[index];
        if !program.attached {
            return Err(fail(Refusal::BadRequest, format!("program {} is not attached", id.0)));
        }
        check(
            self.platform.call_host(program.host, &bpf_host::Request::Detach { program: id }, None),
            &program.point,
        )?;
        program.attached = false;
        Ok(())
    }

    pub(crate) fn unload(&mut self, id: ProgramId) -> Result<(), Failure> {
        let index = self.find(id)?;
        let mut program = self.programs.remove(index);
        self.take_back(&mut program);
        Ok(())
    }
}
