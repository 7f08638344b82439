//! What servers do, and what a test sees of them.
use super::*;

impl Machine {
    /// A device's registers.
    pub fn registers(&self, page: u64) -> Vec<u8> {
        self.inner.registers.borrow().get(&page).cloned().unwrap_or_else(|| vec![0; PAGE])
    }

    /// Where init's RAM is.
    pub fn ram_at(&self) -> u64 {
        let mut untyped = self.info.untyped_list.iter();
        untyped.find(|u| u.is_device == 0 && u.size_bits > 0).expect("there is RAM").paddr
    }

    /// A device changes a word of its registers.
    pub fn set_register(&self, at: u64, word: u32) {
        let mut registers = self.inner.registers.borrow_mut();
        let page = registers.entry(at & !4095).or_insert_with(|| vec![0; PAGE]);
        page[(at & 4095) as usize..][..4].copy_from_slice(&word.to_le_bytes());
    }

    /// A word of a device's registers.
    pub fn register(&self, at: u64) -> u32 {
        let page = self.registers(at & !4095);
        u32::from_le_bytes(page[(at & 4095) as usize..][..4].try_into().expect("four bytes"))
    }

    /// Whether there was a server's thread.
    pub fn was_started(&self, name: &str) -> bool {
        self.inner.threads.borrow().contains_key(name)
    }

    /// A server's thread, or the last one that had this name.
    pub fn thread(&self, name: &str) -> Ptr<Tcb> {
        *self.inner.threads.borrow().get(name).unwrap_or_else(|| panic!("there was no thread '{name}'"))
    }

    /// The thread that was started last, which the kernel was told no name of.
    pub fn call_last(&self, name: &str) {
        let tcb = self.inner.started.get().expect("a thread was started");
        self.inner.threads.borrow_mut().insert(name.into(), tcb);
    }

    pub(super) fn asid(&self, name: &str) -> u16 {
        let slot = self.thread(name).slot(axiom_objects::object::TCB_VSPACE);
        match slot.cap() {
            Cap::VSpace { asid: Some(asid), .. } => asid,
            other => panic!("'{name}' has no address space but {other:?}"),
        }
    }

    /// The frame that a server has at a page.
    pub fn frame(&self, name: &str, page: u64) -> Option<Mapped> {
        self.inner.pages.borrow().get(&(self.asid(name), page)).copied()
    }

    /// A page of a server's.
    pub fn page(&self, name: &str, page: u64) -> Option<&[u8]> {
        let mapped = self.frame(name, page).filter(|mapped| !mapped.device)?;
        // SAFETY: a page of the world's RAM, which the test alone looks at meanwhile.
        Some(unsafe { core::slice::from_raw_parts(Inner::ram(PhysAddr(mapped.phys), PAGE), PAGE) })
    }

    /// Writes into a page of a server's, as the server would.
    pub fn write(&self, name: &str, page: u64, byte: u8) {
        let mapped = self.frame(name, page).filter(|mapped| !mapped.device);
        let mapped = mapped.unwrap_or_else(|| panic!("'{name}' has no page at {page:#x}"));
        // SAFETY: as in `page`, and no reference to it lives.
        unsafe { Inner::ram(PhysAddr(mapped.phys), PAGE).write(byte) };
    }

    /// What a server was told.
    pub fn env(&self, name: &str) -> Env<'static> {
        let pages = (0..env::MAX_PAGES as u64).map_while(|i| self.page(name, env::ADDRESS as u64 + 4096 * i));
        let bytes: &'static [u8] = pages.flatten().copied().collect::<Vec<u8>>().leak();
        // SAFETY: the header is plain words, and the bytes are at least a page.
        let header = unsafe { bytes.as_ptr().cast::<env::Header>().read_unaligned() };
        assert_eq!(header.magic, env::MAGIC);
        let body = &bytes[size_of::<env::Header>()..][..header.env_len as usize];
        let env: Env<'static> = wire::decode_plain(body).expect("an environment");
        assert!(env.is_whole());
        env
    }

    /// What a server has in a slot.
    pub fn slot(&self, name: &str, slot: u64) -> Cap {
        let cspace = self.thread(name).slot(axiom_objects::object::TCB_CSPACE).cap();
        self.inner.world.slot(cspace, slot).cap()
    }

    /// A server makes a system call.
    pub(super) fn act(&mut self, name: &str, number: i64, slot: u64, message: Message<'_>) {
        let tcb = self.thread(name);
        assert!(self.inner.world.run(tcb), "'{name}' cannot run");
        self.inner.world.set_message(tcb, slot, message);
        self.inner.world.system_call(tcb, number);
        self.inner.world.take_log();
    }

    /// A server signals, or sends nothing.
    pub fn signal(&mut self, name: &str, slot: u64) -> Result<(), String> {
        self.act(name, syscall::SEND, slot, Message::default());
        self.serve()
    }

    /// A server says that it is ready.
    pub fn ready(&mut self, name: &str) {
        let slot = self.env(name).ready;
        self.signal(name, slot).unwrap_or_else(|verdict| panic!("{verdict}"));
    }

    /// A server calls, and is served or waits.
    pub fn call(&mut self, name: &str, slot: u64, label: u64, words: &[u64]) -> Result<(), String> {
        self.act(name, syscall::CALL, slot, Message { label, words, caps: &[] });
        self.serve()
    }

    /// The answer that a server found.
    pub fn answer<R: Deserialize<'static>>(&self, name: &str) -> Result<R, Error> {
        let tcb = self.thread(name);
        assert!(tcb.is_runnable(), "'{name}' waits for its answer");
        let info = MessageInfo(tcb.regs.get(INFO));
        let buffer = axiom_objects::message::buffer(tcb, false);
        let words = (0..info.length()).map(|i| axiom_objects::message::mr(tcb, buffer, i));
        let bytes: &'static [u8] = words.flat_map(u64::to_le_bytes).collect::<Vec<u8>>().leak();
        if info.label() == LABEL_OK {
            return Ok(wire::decode(bytes).expect("an answer in the interface's words"));
        }
        Err(wire::decode(bytes).expect("an error in its words"))
    }

    /// A server asks init in words of an interface; `Err` of the outer result is the end of the run.
    pub fn ask<R: Deserialize<'static>>(
        &mut self,
        name: &str,
        interface: u16,
        request: &impl Serialize,
    ) -> Result<Result<R, Error>, String> {
        let slot = self.env(name).channels.iter().find(|c| c.name == "init").expect("a channel").slot;
        self.call(name, slot, interface.into(), &words(request))?;
        Ok(self.answer(name))
    }

    /// A message, or a signal, to init from somebody with any badge: `of` is a server, whose capabilities are copied for this. What is not
    /// answered by init waits for ever, and is forgotten.
    pub fn intrude(&mut self, of: &str, badge: u64, label: u64, words: &[u64]) -> Result<(), String> {
        let (world, env) = (&self.inner.world, self.env(of));
        let badge = Badge(badge);
        let (cap, number) = if badge.0 >> 63 != 0 {
            let Cap::Notification { ntfn, rights, .. } = self.slot(of, env.ready) else { panic!() };
            (Cap::Notification { ntfn, badge, rights }, syscall::SEND)
        } else {
            let slot = env.channels.iter().find(|c| c.name == "init").expect("a channel").slot;
            let Cap::Endpoint { ep, rights, .. } = self.slot(of, slot) else { panic!() };
            (Cap::Endpoint { ep, badge, rights }, syscall::CALL)
        };
        let space = world.cnode(2);
        let tcb = world.thread(10, space);
        world.put(space, 1, cap);
        assert!(world.run(tcb));
        world.set_message(tcb, 1, Message { label, words, caps: &[] });
        world.system_call(tcb, number);
        world.take_log();
        self.serve()
    }

    /// A line asks to be served, and the server looks at its notification.
    pub fn interrupt(&mut self, name: &str, irq: u32) -> Signals {
        self.inner.world.run((&self.inner.world).node().idle());
        self.inner.world.raise(irq);
        self.inner.world.interrupt();
        self.poll(name)
    }

    /// A server invokes a capability of its own; the error's number.
    pub fn invoke(&mut self, name: &str, slot: u64, label: u64, words: &[u64], caps: &[u64]) -> u64 {
        let tcb = self.thread(name);
        assert!(self.inner.world.run(tcb), "'{name}' cannot run");
        let answer = self.inner.world.invoke(tcb, slot, Message { label, words, caps });
        self.inner.world.take_log();
        answer.expect("it runs on").label
    }

    /// A server makes so many pages of its untyped memory, in a row of slots; the error's number.
    pub fn retype(&mut self, name: &str, untyped: u64, first: u64, count: u64) -> u64 {
        let words = [object::kind::SMALL_PAGE, 0, 0, 0, first, count];
        self.invoke(name, untyped, label::UNTYPED_RETYPE, &words, &[slot::CNODE])
    }

    /// A capability is given by one server to another, as a message would.
    pub fn give(&mut self, to: &str, at: u64, from: &str, slot: u64) {
        let space = |name: &str| self.thread(name).slot(axiom_objects::object::TCB_CSPACE).cap();
        let world = &self.inner.world;
        let (from, to) = (world.slot(space(from), slot), world.slot(space(to), at));
        let copy = axiom_objects::derive::derive(from, from.cap()).expect("it can be copied");
        axiom_objects::slot::insert(copy, from, to);
    }

    /// Whether a server's address space has all tables for an address.
    pub fn has_table(&self, name: &str, at: u64) -> bool {
        let root = space::root_of((&self.inner.world).shared(), self.asid(name)).expect("it lives");
        space::boot_has_table(root, at)
    }

    /// The world that the rules run in.
    pub fn world(&self) -> &FakeWorld {
        &self.inner.world
    }

    /// Whether the kernel's debug calls are there, as init last said.
    pub fn debug_calls(&self) -> Option<bool> {
        self.inner.debug_calls.get()
    }

    pub(super) fn context(&self, name: &str) -> Ptr<axiom_objects::object::SchedContext> {
        self.thread(name).sc.get().expect("it has a scheduling context")
    }

    /// A server's budget and period.
    pub fn budget(&self, name: &str) -> (u64, u64) {
        let sc = self.context(name);
        (sc.refills().map(|refill| refill.amount).sum(), sc.period.get())
    }

    /// What a server may use now of its budget.
    pub fn left(&self, name: &str) -> u64 {
        self.context(name).head_refill().amount
    }

    /// A server runs for so long.
    pub fn spend(&mut self, name: &str, us: u64) {
        let world = &self.inner.world;
        assert!(world.run(self.thread(name)));
        world.advance(us);
        world.interrupt();
        world.take_log();
    }

    /// The time, in microseconds.
    pub fn time(&self) -> u64 {
        self.inner.world.time()
    }

    /// The bits that a server finds set in its notification.
    pub fn poll(&mut self, name: &str) -> Signals {
        self.act(name, syscall::NB_WAIT, slot::NOTIFICATION, Message::default());
        Signals::from_badge(self.thread(name).regs.get(CAP)).unwrap_or_default()
    }

    /// What the thread in the place of a server that is down does next: it receives, or answers and receives.
    pub fn run_down(&mut self, answers: bool) {
        let tcb = self.thread("down");
        // SAFETY: init's own words for this thread, which stay; its first argument says where.
        let errand: &[u64; 4] = unsafe { &*std::ptr::with_exposed_provenance(self.errand.get() as usize) };
        let [endpoint, reply, info, word] = *errand;
        assert!(self.inner.world.run(tcb), "the thread in a server's place cannot run");
        tcb.regs.set(CAP, endpoint);
        tcb.regs.set(REPLY, reply);
        tcb.regs.set(INFO, info);
        tcb.regs.set(MR0, word);
        self.inner.world.system_call(tcb, if answers { syscall::REPLY_RECV } else { syscall::RECV });
        self.inner.world.take_log();
    }

    /// The thread in the place of a server that is down has begun.
    pub fn begin_down(&mut self) {
        self.errand.set(self.thread("down").regs.get(CAP));
        self.run_down(false);
    }

    /// A server waits for the next message.
    pub fn wait(&mut self, name: &str) {
        let tcb = self.thread(name);
        tcb.regs.set(REPLY, slot::REPLY);
        self.act(name, syscall::RECV, slot::ENDPOINT, Message::default());
    }

    /// A server faults, and init has served that.
    pub fn fault(&mut self, name: &str, fault: Fault) -> Result<(), String> {
        let tcb = self.thread(name);
        assert!(self.inner.world.run(tcb), "'{name}' cannot run");
        self.inner.world.fault(tcb, fault);
        self.inner.world.take_log();
        self.serve()
    }

    /// A server dies.
    pub fn kill(&mut self, name: &str) -> Result<(), String> {
        self.fault(name, Fault::Vm { addr: 0x10, fsr: 0x82000006, instruction: false })
    }

    /// Time passes while nobody runs.
    pub fn advance(&mut self, us: u64) -> Result<(), String> {
        let world = &self.inner.world;
        world.run((&world).node().idle());
        world.advance(us);
        arch::set_ticks(world.time());
        world.interrupt();
        world.take_log();
        self.serve()
    }
}

/// A message's words.
pub fn words(value: &impl Serialize) -> Vec<u64> {
    let mut bytes = vec![0; wire::MAX_WORDS * 8];
    let words = wire::encode(value, &mut bytes).expect("it fits a message");
    bytes.as_chunks::<8>().0.iter().take(words).map(|word| u64::from_le_bytes(*word)).collect()
}
