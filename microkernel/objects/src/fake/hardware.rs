//! The machine that the rules see: what they ask of it is written down.
use super::*;

/// A line's bit. Messages have numbers beyond those of lines, and nothing that masks them.
fn line(irq: u32) -> u64 {
    1u64.checked_shl(irq).unwrap_or(0)
}

impl Machine for &FakeWorld {
    fn node(&self) -> &Node {
        &self.node
    }
    fn shared(&self) -> &Shared {
        &self.shared
    }
    fn now(&self) -> Ticks {
        let mut registers = self.registers.borrow_mut();
        registers.now += self.cost.get();
        registers.now
    }
    fn set_deadline(&self, deadline: Ticks) {
        self.log(Hardware::Deadline(deadline));
        self.registers.borrow_mut().deadline = deadline;
    }
    fn acknowledge(&self) -> Option<u32> {
        let mut registers = self.registers.borrow_mut();
        let masked = registers.masked;
        let at = registers.pending.iter().position(|irq| masked >> irq & 1 == 0)?;
        registers.pending.remove(at)
    }
    fn complete(&self, irq: u32) {
        self.log(Hardware::Complete(irq));
    }
    fn mask(&self, irq: u32) {
        self.log(Hardware::Mask(irq));
        self.registers.borrow_mut().masked |= line(irq);
    }
    fn unmask(&self, irq: u32) {
        self.log(Hardware::Unmask(irq));
        self.registers.borrow_mut().masked &= !line(irq);
    }
    fn route(&self, irq: u32, route: Route) {
        self.log(Hardware::Route { irq, route });
    }
    fn port(&self, access: Access) -> u64 {
        self.log(Hardware::Port(access));
        0
    }
    fn max_irq(&self) -> u32 {
        MAX_IRQ
    }
    fn interrupt_pending(&self) -> bool {
        let registers = self.registers.borrow();
        self.preempting.get() || registers.pending.iter().any(|irq| registers.masked >> irq & 1 == 0)
    }
    fn looks_up(&self) -> bool {
        self.points.set(self.points.get() + 1);
        self.preempting.set(false);
        if let Some(late) = self.late.get().filter(|late| late.at == self.points.get()) {
            self.advance(late.ticks);
            self.preempting.set(late.pending);
            return true;
        }
        match self.oracle.borrow_mut().as_mut() {
            None => self.node.work_done(),
            Some(oracle) => {
                self.preempting.set(oracle());
                self.preempting.get()
            }
        }
    }
    fn zero(&self, start: PhysAddr, bytes: u64) {
        self.log(Hardware::Zero { start, bytes });
        self.fill_with_zeroes(start, bytes);
    }
    fn zero_for_user(&self, start: PhysAddr, bytes: u64) {
        self.log(Hardware::ZeroForUser { start, bytes });
        self.fill_with_zeroes(start, bytes);
    }
    fn cache(&self, op: CacheOp, start: PhysAddr, bytes: u64) {
        self.log(Hardware::Cache { op, start, bytes });
    }
    fn publish(&self) {
        self.log(Hardware::Publish);
    }
    fn flush_page(&self, mapping: Mapping) {
        self.log(Hardware::FlushPage(mapping));
    }
    fn flush_space(&self, asid: u16) {
        self.log(Hardware::FlushSpace(asid));
    }
    fn flush_all(&self) {
        self.log(Hardware::FlushAll);
    }
    fn load_space(&self, space: u64) {
        self.log(Hardware::LoadSpace(space));
    }
    fn switch_thread_pointers(&self, from: Ptr<Tcb>, to: Ptr<Tcb>) {
        let mut registers = self.registers.borrow_mut();
        from.regs.set(TLS, registers.thread_pointer);
        registers.thread_pointer = to.regs.get(TLS);
    }
    fn set_thread_pointer(&self, value: u64) {
        self.log(Hardware::ThreadPointer(value));
        self.registers.borrow_mut().thread_pointer = value;
    }
    fn load_thread_pointers(&self, tcb: Ptr<Tcb>) {
        for register in POINTERS {
            self.log(Hardware::ThreadPointer(tcb.regs.get(register)));
        }
        self.registers.borrow_mut().thread_pointer = tcb.regs.get(TLS);
    }
    fn enable_fpu(&self, on: bool) {
        self.log(Hardware::EnableFpu(on));
    }
    fn save_fpu(&self, state: &FpuState) {
        self.log(Hardware::SaveFpu);
        state.q[0].set(self.registers.borrow().fpu);
    }
    fn load_fpu(&self, state: &FpuState) {
        self.log(Hardware::LoadFpu);
        self.registers.borrow_mut().fpu = state.q[0].get();
    }
    fn print(&self, line: fmt::Arguments<'_>) {
        self.log(Hardware::Printed(line.to_string()));
    }
    fn reference(&self) -> Option<(Ticks, u32)> {
        self.second_clock.get().map(|steps| (self.registers.borrow().now, steps))
    }
    fn put(&self, byte: u8) -> bool {
        self.log(Hardware::Put(byte));
        true
    }
    fn allow_debug_calls(&self, on: bool) {
        self.log(Hardware::DebugCalls(on));
    }
    fn power_off(&self) {
        self.log(Hardware::PowerOff);
    }
    fn debug_call(&self, _: Ptr<Tcb>, _: i64) -> bool {
        false
    }
}
