//! The kernel's side: system calls at the rules, and what they mean for memory.
use super::*;

/// New memory, anywhere or at an address where nothing is yet; it stays until it is taken away.
pub(super) fn memory(address: u64, bytes: usize, write: bool) -> u64 {
    let place = if address == 0 { 0 } else { libc::MAP_FIXED_NOREPLACE };
    let may = libc::PROT_READ | if write { libc::PROT_WRITE } else { 0 };
    // SAFETY: a new mapping takes nothing away from anybody.
    let got = unsafe {
        libc::mmap(address as *mut _, bytes, may, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | place, -1, 0)
    };
    assert_ne!(got, libc::MAP_FAILED, "nothing can be mapped at {address:#x}");
    got as u64
}

pub(super) fn remove(address: u64, bytes: usize) {
    // SAFETY: `memory` made it, and nobody refers to it any more.
    unsafe { libc::munmap(address as *mut _, bytes) };
}

impl Inner {
    /// The bytes of a frame of RAM.
    pub(super) fn ram(frame: PhysAddr, bytes: usize) -> *mut u8 {
        debug_assert!(frame.kernel().is_multiple_of(PAGE) && bytes > 0);
        std::ptr::with_exposed_provenance_mut(frame.kernel())
    }

    pub(super) fn appear(&self, vaddr: u64, alias: Alias) {
        let at = memory(vaddr, alias.bytes, true) as *mut u8;
        for (page, offset) in (0..).zip((0..alias.bytes).step_by(PAGE)) {
            let registers = self.registers.borrow();
            let from = if alias.device {
                let Some(held) = registers.get(&(alias.frame.0 + page * PAGE as u64)) else { continue };
                held.as_ptr()
            } else {
                // SAFETY: inside the frame.
                unsafe { Inner::ram(alias.frame, alias.bytes).add(offset) }
            };
            // SAFETY: both are a page, and apart.
            unsafe { at.add(offset).copy_from_nonoverlapping(from, PAGE) };
        }
        if !alias.write {
            // SAFETY: this mapping's own protection.
            unsafe { libc::mprotect(at.cast(), alias.bytes, libc::PROT_READ) };
        }
        self.aliases.borrow_mut().insert(vaddr, alias);
    }

    pub(super) fn vanish(&self, vaddr: u64) {
        let alias = self.aliases.borrow_mut().remove(&vaddr).expect("init maps what is unmapped");
        remove(vaddr, alias.bytes);
    }

    /// What init wrote reaches its frames.
    pub(super) fn write_back(&self) {
        for (vaddr, alias) in self.aliases.borrow().iter().filter(|(_, alias)| alias.write) {
            let from = *vaddr as *const u8;
            let mut registers = self.registers.borrow_mut();
            let to = if alias.device {
                registers.entry(alias.frame.0).or_insert_with(|| vec![0; PAGE]).as_mut_ptr()
            } else {
                Inner::ram(alias.frame, alias.bytes)
            };
            // SAFETY: a page each, and apart.
            unsafe { to.copy_from_nonoverlapping(from, PAGE) };
        }
        let mut registers = self.registers.borrow_mut();
        for (at, bits, value) in &self.fixed {
            let Some(page) = registers.get_mut(&(at & !4095)) else { continue };
            let word = &mut page[(at & 4095) as usize..][..4];
            let written = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
            word.copy_from_slice(&(written & !bits | value & bits).to_le_bytes());
        }
    }

    pub(super) fn buffer(&self) -> &IpcBuffer {
        let buffer = axiom_objects::message::buffer(self.init, false).expect("init has a buffer");
        // SAFETY: a page of the world's that holds init's IPC buffer; nobody writes it while the test looks.
        unsafe { &*std::ptr::with_exposed_provenance(buffer.addr()) }
    }

    pub(super) fn cap(&self, slot: u64) -> Cap {
        let Cap::CNode { radix, .. } = self.space else { panic!("init has slots") };
        if slot < 1 << radix { self.world.slot(self.space, slot).cap() } else { Cap::Null }
    }

    /// Where init has this mapped, if it has.
    pub(super) fn own(cap: Cap) -> Option<u64> {
        match cap {
            Cap::Frame { mapping: Some(Mapping { asid: OWN, vaddr }), .. } => Some(vaddr),
            _ => None,
        }
    }

    pub(super) fn system_call(&self, call: host::Syscall) -> Received {
        self.write_back();
        let (world, init) = (&self.world, self.init);
        let label = call.info.label();
        if call.number == syscall::DEBUG_PUT_CHAR || call.number == syscall::DEBUG_HALT {
            self.said.borrow_mut().push(call.cap.0 as u8);
            self.leave_if(call.number == syscall::DEBUG_HALT);
            return Received { info: call.info, badge: Badge(0), mrs: call.mrs };
        }
        if call.number == syscall::CALL {
            let mut calls = self.calls.borrow_mut();
            let count = calls.entry(label).or_default();
            *count += 1;
            if self.refuse.get() == Some((label, *count)) {
                let refused = MessageInfo::new(sel4_sys::Error::NotEnoughMemory as u64, 0, 0, 0);
                return Received { info: refused, badge: Badge(0), mrs: [0; 4] };
            }
        }
        let (before, deleted) = (self.cap(call.cap.0), self.cap(call.mrs[0]));
        let named = self.buffer().caps_or_badges[0];
        assert!(world.run(init), "init makes a system call, so it can run");
        init.regs.set(INFO, call.info.0);
        init.regs.set(CAP, call.cap.0);
        init.regs.set(REPLY, call.reply.0);
        (0..4).for_each(|i| init.regs.set(MR0 + i, call.mrs[i]));
        loop {
            world.system_call(init, call.number);
            if world.current() != init || init.regs.get(PC) != init.regs.get(FAULT_PC) {
                break;
            }
        }
        let received = self.received();
        if call.number == syscall::CALL && received.info.label() == 0 {
            self.follow(label, before, deleted, call, named);
        }
        let mut off = false;
        for event in world.take_log() {
            match event {
                Hardware::Put(byte) => self.said.borrow_mut().push(byte),
                Hardware::PowerOff => off = true,
                Hardware::DebugCalls(on) => self.debug_calls.set(Some(on)),
                _ => {}
            }
        }
        self.leave_if(off);
        received
    }

    pub(super) fn leave_if(&self, off: bool) {
        if off {
            resume_unwind(Box::new(Ended));
        }
    }

    pub(super) fn received(&self) -> Received {
        let regs = &self.init.regs;
        let mrs = core::array::from_fn(|i| regs.get(MR0 + i));
        Received { info: MessageInfo(regs.get(INFO)), badge: Badge(regs.get(CAP)), mrs }
    }

    /// An invocation succeeded: what it means for memory, and for what the test knows.
    pub(super) fn follow(&self, label: u64, before: Cap, deleted: Cap, call: host::Syscall, named: u64) {
        match label {
            label::PAGE_MAP => {
                let Cap::Frame { base, size, device, rights, mapping: Some(mapping) } = self.cap(call.cap.0)
                else {
                    panic!("what was mapped is no mapped frame")
                };
                let write = rights.write && call.mrs[1] & CapRights::WRITE.0 != 0;
                if mapping.asid != OWN {
                    let execute = call.mrs[2] & object::vm_attributes::EXECUTE_NEVER == 0;
                    let there = Mapped { phys: base.0, device, write, execute };
                    self.pages.borrow_mut().insert((mapping.asid, mapping.vaddr), there);
                    return;
                }
                assert_eq!(named, init::VSPACE.0);
                let bytes = if size == FrameSize::Small { PAGE } else { 1 << size.bits() };
                self.appear(mapping.vaddr, Alias { frame: base, bytes, device, write });
            }
            label::PAGE_UNMAP => self.vanish(Inner::own(before).expect("init unmaps what it mapped")),
            label::CNODE_DELETE if call.cap == init::CNODE => {
                if let Some(vaddr) = Inner::own(deleted) {
                    self.vanish(vaddr);
                }
            }
            label::TCB_WRITE_REGISTERS => {
                let Cap::Tcb { tcb } = before else { panic!("a thread is started") };
                self.started.set(Some(tcb));
            }
            ext::DEBUG_NAME_THREAD => {
                let Cap::Tcb { tcb } = self.cap(named) else { panic!("a thread is named") };
                let bytes: Vec<u8> =
                    call.mrs.into_iter().flat_map(u64::to_le_bytes).take_while(|b| *b != 0).collect();
                let name = String::from_utf8(bytes).expect("a name is text");
                self.threads.borrow_mut().insert(name, tcb);
            }
            _ => {}
        }
    }
}
