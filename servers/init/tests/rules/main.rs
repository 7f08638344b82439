//! What init decides, on the kernel's own rules: [`machine`].
mod board;
mod devices;
mod functions;
mod grants;
mod life;
mod machine;
mod memory;
#[cfg(axiom_arch = "x86_64")]
mod pc;
mod pci;
mod requests;
mod resets;

use axiom_proto::Values;
use axiom_proto::bundle::{Restart, Segment, Server, System};

/// A server as small as one can be: a page of code, which is the bundle's page 8, and a page of data.
pub fn server(name: &str) -> Server {
    Server {
        name: name.into(),
        segments: vec![
            Segment {
                vaddr: 0x20_0000,
                mem_size: 4096,
                offset: 8 * 4096,
                file_size: 4096,
                write: false,
                execute: true,
            },
            Segment {
                vaddr: 0x20_2000,
                mem_size: 3 * 4096,
                offset: 9 * 4096,
                file_size: 100,
                write: true,
                execute: false,
            },
        ],
        entry: 0x20_0010,
        priority: 100,
        budget_us: 10_000,
        period_us: 10_000,
        stack_kib: 8,
        heap_kib: 4,
        serves: Values::default(),
        reports_ready: true,
        restart: Restart::Always,
        ..Server::default()
    }
}

/// A system of these.
pub fn system(servers: Vec<Server>) -> System {
    System { name: "test".into(), board: "here".into(), servers, ..System::default() }
}
