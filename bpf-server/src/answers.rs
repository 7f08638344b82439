//! What clients read: the list, values and frames of their maps; and who is told of records.

use crate::failure::{Failure, fail, shown};
use crate::placing::{check, map_here};
use crate::{Access, Loader, Platform};
use alloc::format;
use axiom_bpf_isa::MapType;
use axiom_bpf_maps::PAGE;
use axiom_proto::bpf::{Info, MAX_VALUE, ProgramId, Refusal, Reply};
use axiom_proto::bpf_host;
use axiom_proto::env::ClientBadge;

impl<P: Platform> Loader<P> {
    pub(crate) fn list(&mut self, after: u32) -> Reply<'_> {
        let Some(p) = self.programs.iter().filter(|p| p.id.0 > after).min_by_key(|p| p.id) else {
            return Reply::End;
        };
        let stats = match self.platform.call_host(p.host, &bpf_host::Request::Stats { program: p.id }, None) {
            Some(bpf_host::Reply::Stats { runs, accepted }) => (runs, accepted),
            _ => (0, 0),
        };
        Reply::Info(Info {
            id: p.id,
            name: &p.name,
            point: &p.point,
            attached: p.attached,
            compiled: p.compiled,
            insns: p.insns,
            code_bytes: p.code_bytes,
            map_bytes: p.maps.iter().map(|m| m.pages * PAGE as u32).sum(),
            worst_case: p.worst_case,
            runs: stats.0,
            accepted: stats.1,
        })
    }

    fn map_of(&self, badge: ClientBadge, id: ProgramId, name: &str) -> Result<(usize, usize), Failure> {
        let program = self.owned(badge, id)?;
        let map = self.programs[program].maps.iter().position(|m| m.name == name);
        let map = map.ok_or_else(|| {
            fail(Refusal::NotFound, format!("program {} has no map '{}'", id.0, shown(name)))
        })?;
        Ok((program, map))
    }

    pub(crate) fn map_read(
        &mut self,
        badge: ClientBadge,
        id: ProgramId,
        name: &str,
        key: &[u8],
    ) -> Result<usize, Failure> {
        let (program, index) = self.map_of(badge, id, name)?;
        let map = &self.programs[program].maps[index];
        let bad = |text: &str| fail(Refusal::BadRequest, format!("map '{}': {text}", shown(name)));
        let size = map.def.value_size as usize;
        if map.def.key_size == 0 {
            return Err(bad("it has no keys that it could be read by"));
        }
        if size > MAX_VALUE {
            return Err(bad("its values are larger than a message"));
        }
        if key.len() != map.def.key_size as usize {
            return Err(bad("the key has the wrong size"));
        }
        let Some(own) = map_here(&mut self.platform, &mut self.programs[program], index) else {
            return Err(bad("bpf-server has no room to look at it"));
        };
        // SAFETY: the key has key_size bytes and the buffer at least value_size, as just checked.
        match unsafe { own.read_shared(key.as_ptr(), self.value.as_mut_ptr()) } {
            0 => Ok(size),
            _ => Err(fail(Refusal::NotFound, format!("map '{}' has no such key", shown(name)))),
        }
    }

    /// Gives the client's notification to the program's host, and keeps it for when that one is started anew.
    pub(crate) fn notify(&mut self, badge: ClientBadge, id: ProgramId, name: &str) -> Result<(), Failure> {
        let (program, map) = self.map_of(badge, id, name)?;
        let missing = || {
            fail(
                Refusal::BadRequest,
                "no notification came with the request, or bpf-server has no room for it".into(),
            )
        };
        let token = self.platform.take_token().ok_or_else(missing)?;
        let program = &mut self.programs[program];
        let map = &mut program.maps[map];
        let request = bpf_host::Request::Doorbell { slot: map.slot };
        let reply = self.platform.call_host_with_token(program.host, &request, token);
        if let Err(failure) = check(reply, &program.point) {
            self.platform.drop_token(token);
            return Err(failure);
        }
        if let Some(old) = map.doorbell.replace(token) {
            self.platform.drop_token(old);
        }
        Ok(())
    }

    pub(crate) fn map_frame(
        &mut self,
        badge: ClientBadge,
        id: ProgramId,
        name: &str,
        page: u32,
    ) -> Result<(Reply<'static>, (ProgramId, u32, Access)), Failure> {
        let (program, map) = self.map_of(badge, id, name)?;
        let map = &self.programs[program].maps[map];
        if page >= map.pages {
            return Err(fail(Refusal::BadRequest, format!("map '{}' has {} pages", shown(name), map.pages)));
        }
        // A consumer writes its position, which is a ring's first page, and nothing else.
        let writable = map.def.map_type == MapType::RingBuf && page == 0;
        let access = if writable { Access::Write } else { Access::Read };
        Ok((Reply::Frame { pages: map.pages, writable }, (id, map.first + page, access)))
    }
}
