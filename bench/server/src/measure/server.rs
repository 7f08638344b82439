//! The server: it runs everything when it is asked to.
use super::report::Report;
use super::threads::Resources;
use super::{boot, bpf, ipc, kernel, partner, sample, scans, second, timer};
use crate::text;
use axiom_proto::Error;
use axiom_proto::bench::{INTERFACE, Reply, Request};
use axiom_runtime::{Incoming, Runtime, Service, serve};

axiom_runtime::entry!(main);
axiom_runtime::takes!(include_str!("../../takes.toml"));

struct Bench {
    rt: Runtime,
    resources: Resources,
}

fn main(rt: Runtime) -> ! {
    rt.ready();
    if rt.arg("role") == Some("partner") {
        let delay = rt.arg_number("delay_us").unwrap_or(0) * 1000;
        partner::serve_for_ever(axiom_runtime::time::from_nanoseconds(delay))
    }
    let resources = Resources::new(&rt);
    serve(&mut Bench { rt, resources })
}

impl Service for Bench {
    fn request(&mut self, message: &Incoming<'_>) -> axiom_runtime::Reply {
        if message.interface != INTERFACE {
            return axiom_runtime::Reply::error(Error::NoSuchInterface);
        }
        match message.decode::<Request>() {
            Err(error) => axiom_runtime::Reply::error(error),
            Ok(Request::Echo { value }) => axiom_runtime::Reply::ok(&Reply::Echo { value }),
            Ok(Request::Run) => {
                let metrics = self.run();
                axiom_runtime::Reply::ok(&Reply::Done { metrics })
            }
        }
    }
}

impl Bench {
    fn run(&mut self) -> u32 {
        let mut report = Report::new();
        // A thread below everybody keeps the processor busy: timers and interrupts then meet a running system, and an
        // emulator that counts instructions never has to make up time for an idle one.
        let busy = self.resources.thread(1, busy, 0);
        if let Err(error) = &busy {
            report.missing("the busy thread", &text!("{error:?}: figures are of an otherwise idle system"));
        }
        boot::measure(&self.rt, &mut report);
        second::boot(&self.rt, &mut report);
        boot::memory(&self.rt, &mut report);
        bpf::load(&self.rt, &mut report);
        timer::measure(&self.rt, &mut report);
        second::timers(&self.rt, &mut self.resources, &mut report);
        ipc::measure(&self.rt, &mut self.resources, &mut report);
        kernel::measure(&self.rt, &mut self.resources, &mut report);
        bpf::latency(&self.rt, &mut self.resources, &mut report);
        let other = busy.as_ref().ok().map(|thread| thread.tcb);
        scans::measure(&self.rt, &mut self.resources, &mut report);
        let trace = sample::measure(&self.rt, &mut self.resources, &mut report, other);
        if busy.is_ok_and(|thread| thread.tcb.suspend().is_err()) {
            report.missing("the busy thread", "it could not be stopped");
        }
        boot::high_water(&self.rt, &mut report);
        let metrics = report.print(&self.rt);
        if let Some(trace) = trace {
            trace.print(&self.rt);
        }
        metrics
    }
}

extern "C" fn busy(_: u64) -> ! {
    loop {
        axiom_runtime::arch::idle();
    }
}
