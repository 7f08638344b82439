//! What threads of a world do: system calls, faults, and interrupts that come between them.
use super::*;

impl FakeWorld {
    /// The running thread.
    pub fn current(&self) -> Ptr<Tcb> {
        self.node.current()
    }

    // ---- steps ----

    /// Makes a thread the running one, whatever the priorities; what ran is ready, before its equals. False if the thread cannot
    /// run.
    pub fn run(&self, tcb: Ptr<Tcb>) -> bool {
        let n = self.node;
        if !tcb.is_schedulable() {
            return false;
        }
        let old = n.current();
        if old != tcb {
            if old.is_schedulable() {
                n.enqueue(old, true);
            }
            n.dequeue(tcb);
            sched::run(self, tcb);
        }
        if n.current_sc.get() != tcb.sc.get() {
            sched::switch_context(self);
        }
        thread::activate(&n);
        n.action.set(Action::Resume);
        true
    }

    /// Writes a message, and the pointer of the capability that it is for, where `tcb` would.
    pub fn set_message(&self, tcb: Ptr<Tcb>, cptr: u64, message: Message<'_>) {
        let buffer = message::buffer(tcb, true);
        for (i, word) in message.words.iter().enumerate() {
            assert!(message::set_mr(tcb, buffer, i, *word), "the thread has no place for word {i}");
        }
        for (i, cap) in message.caps.iter().enumerate() {
            let buffer = buffer.expect("capabilities go by the buffer, which the thread has not");
            message::set_badge(buffer, i, *cap);
        }
        let (caps, words) = (message.caps.len() as u64, message.words.len() as u64);
        tcb.regs.set(INFO, MessageInfo::new(message.label, 0, caps, words).0);
        tcb.regs.set(CAP, cptr);
    }

    /// What a trap leaves behind: the instruction to repeat is the one that trapped, the next is 4 further.
    pub fn trap(&self, tcb: Ptr<Tcb>) {
        assert!(self.node.current() == tcb, "only the running thread traps: run it first");
        let pc = tcb.regs.get(PC);
        tcb.regs.set(FAULT_PC, pc);
        tcb.regs.set(PC, pc + 4);
    }

    /// A system call of the running thread with what is in its registers, by the short way where it has one.
    pub fn system_call(&self, tcb: Ptr<Tcb>, number: i64) {
        self.trap(tcb);
        if !fast::system_call(self, number) {
            entry::system_call(self, number);
        }
    }

    /// The same by the ordinary way.
    pub fn ordinary_system_call(&self, tcb: Ptr<Tcb>, number: i64) {
        self.trap(tcb);
        entry::system_call(self, number);
    }

    /// `Call` of a capability of the running thread; what it finds in its registers, if it runs again at once.
    pub fn invoke(&self, tcb: Ptr<Tcb>, cptr: u64, message: Message<'_>) -> Option<Answer> {
        self.set_message(tcb, cptr, message);
        self.system_call(tcb, syscall::CALL);
        (self.node.current() == tcb && tcb.regs.get(PC) != tcb.regs.get(FAULT_PC)).then(|| self.answer(tcb))
    }

    /// What a thread finds in its registers.
    pub fn answer(&self, tcb: Ptr<Tcb>) -> Answer {
        let label = MessageInfo(tcb.regs.get(INFO)).label();
        Answer { label, badge: tcb.regs.get(CAP), words: core::array::from_fn(|i| tcb.regs.get(MR0 + i)) }
    }

    /// A fault of the running thread.
    pub fn fault(&self, tcb: Ptr<Tcb>, fault: Fault) {
        self.trap(tcb);
        entry::user_fault(self, fault);
    }

    /// An interrupt now, of what was raised and of the timer if its deadline has come.
    pub fn interrupt(&self) {
        let n = self.node;
        n.current().regs.set(FAULT_PC, n.current().regs.get(PC));
        if self.deadline() <= self.time() {
            self.raise(TIMER_IRQ);
        }
        entry::interrupt(self);
    }
}
