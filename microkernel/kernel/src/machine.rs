//! The core that this kernel runs on, as the rules see it.
use crate::arch::{cpu, fpu, irq, port, timer, translation};
use crate::debug;
use crate::node;
use crate::print;
use axiom_objects::arch::context::FpuState;
use axiom_objects::arch::interrupts::Route;
use axiom_objects::arch::ports::Access;
use axiom_objects::cap::Mapping;
use axiom_objects::machine::{CacheOp, Machine};
use axiom_objects::node::{Node, Shared};
use axiom_objects::object::Tcb;
use axiom_objects::ptr::{PhysAddr, Ptr};
use axiom_objects::time::Ticks;
use core::fmt;

/// This core. It has no size: what the rules ask of it is compiled into them.
#[derive(Clone, Copy)]
pub struct Core;

impl Machine for Core {
    #[inline(always)]
    fn node(&self) -> &Node {
        node::node()
    }
    #[inline(always)]
    fn shared(&self) -> &Shared {
        node::shared()
    }
    #[inline(always)]
    fn now(&self) -> Ticks {
        timer::now()
    }
    fn reference(&self) -> Option<(Ticks, u32)> {
        timer::reference()
    }
    #[inline(always)]
    fn set_deadline(&self, deadline: Ticks) {
        timer::set_deadline(deadline);
    }
    #[inline(always)]
    fn acknowledge(&self) -> Option<u32> {
        irq::acknowledge()
    }
    #[inline(always)]
    fn complete(&self, irq: u32) {
        irq::complete(irq);
    }
    fn mask(&self, irq: u32) {
        irq::mask(irq);
    }
    fn unmask(&self, irq: u32) {
        irq::unmask(irq);
    }
    #[inline(always)]
    fn hold(&self, irq: u32) {
        irq::hold(irq);
    }
    fn route(&self, irq: u32, route: Route) {
        irq::route(irq, route);
    }
    fn port(&self, access: Access) -> u64 {
        port::access(access)
    }
    fn max_irq(&self) -> u32 {
        irq::max()
    }
    #[inline(always)]
    fn interrupt_pending(&self) -> bool {
        irq::is_pending()
    }
    fn zero(&self, start: PhysAddr, bytes: u64) {
        cpu::zero(start, bytes);
    }
    fn zero_for_user(&self, start: PhysAddr, bytes: u64) {
        cpu::zero_for_user(start, bytes);
    }
    fn cache(&self, op: CacheOp, start: PhysAddr, bytes: u64) {
        cpu::cache(op, start.kernel(), bytes as usize);
    }
    #[inline(always)]
    fn publish(&self) {
        translation::publish();
    }
    #[inline(always)]
    fn flush_page(&self, mapping: Mapping) {
        translation::flush_page(mapping);
    }
    #[inline(always)]
    fn flush_space(&self, asid: u16) {
        translation::flush_space(asid);
    }
    #[inline(always)]
    fn flush_all(&self) {
        translation::flush_all();
    }
    #[inline(always)]
    fn load_space(&self, space: u64) {
        translation::load_space(space);
    }
    #[inline(always)]
    fn switch_thread_pointers(&self, from: Ptr<Tcb>, to: Ptr<Tcb>) {
        cpu::switch_thread_pointers(&from.regs, &to.regs);
    }
    #[inline(always)]
    fn set_thread_pointer(&self, value: u64) {
        cpu::set_tls(value);
    }
    #[inline(always)]
    fn load_thread_pointers(&self, tcb: Ptr<Tcb>) {
        cpu::load_thread_pointers(&tcb.regs);
    }
    #[inline(always)]
    fn enable_fpu(&self, on: bool) {
        fpu::set_enabled(on);
    }
    fn save_fpu(&self, state: &FpuState) {
        fpu::save(state);
    }
    fn load_fpu(&self, state: &FpuState) {
        fpu::load(state);
    }
    fn print(&self, line: fmt::Arguments<'_>) {
        print::report(line);
    }
    fn put(&self, byte: u8) -> bool {
        print::put_user(byte)
    }
    fn allow_debug_calls(&self, on: bool) {
        debug::allow(on);
    }
    fn power_off(&self) {
        debug::power_off()
    }
    fn debug_call(&self, tcb: Ptr<Tcb>, number: i64) -> bool {
        debug::call(tcb, number)
    }
}
