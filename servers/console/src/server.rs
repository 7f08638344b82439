//! Lines and what was typed.
use crate::arch::{self, Uart};
use axiom_proto::Error;
use axiom_proto::console::{INTERFACE, Level, MAX_TYPED, Reply, Request, printable};
use axiom_runtime::{ClientBadge, Incoming, Runtime, Service, serve};
use heapless::Vec;

axiom_runtime::entry!(main);
axiom_runtime::takes!(include_str!("../takes.toml"));

/// The port's name in the manifest.
pub(crate) const PORT: &str = "uart";

struct Console {
    rt: Runtime,
    uart: Option<Uart>,
    lost: u64,
}

fn main(rt: Runtime) -> ! {
    let uart = arch::open(rt);
    rt.ready();
    let mut console = Console { rt, uart, lost: 0 };
    if rt.arg("facts").is_some()
        && let Some(text) = console.uart.as_ref().map(arch::facts)
    {
        console.line(ClientBadge::NOBODY, Level::Plain, &text);
    }
    serve(&mut console)
}

impl Console {
    fn put(&mut self, text: &str) {
        let Some(uart) = &mut self.uart else {
            self.lost += text.len() as u64;
            return;
        };
        for character in printable(text) {
            self.lost += u64::from(!uart.put(character as u8));
        }
    }

    fn line(&mut self, badge: ClientBadge, level: Level, text: &str) {
        for line in text.split('\n') {
            // Always: whose line it is must be seen, whatever it says.
            let name = if badge == ClientBadge::NOBODY { "console" } else { self.rt.client(badge) };
            self.put(name);
            self.put(match level {
                Level::Error => ": ERROR: ",
                Level::Warn => ": warning: ",
                Level::Debug => ": debug: ",
                Level::Info | Level::Plain => ": ",
            });
            self.put(line);
            if let Some(uart) = &mut self.uart {
                let ended = uart.put(b'\r') && uart.put(b'\n');
                self.lost += u64::from(!ended);
            }
        }
    }
}

impl Service for Console {
    fn request(&mut self, message: &Incoming<'_>) -> axiom_runtime::Reply {
        if message.interface != INTERFACE {
            return axiom_runtime::Reply::error(Error::NoSuchInterface);
        }
        match message.decode::<Request<'_>>() {
            Err(error) => axiom_runtime::Reply::error(error),
            Ok(Request::Line { level, text }) => {
                self.line(message.badge, level, text);
                axiom_runtime::Reply::ok(&Reply::Done)
            }
            Ok(Request::Flush) => {
                if let Some(uart) = &self.uart {
                    uart.flush();
                }
                axiom_runtime::Reply::ok(&Reply::Done)
            }
            Ok(Request::Read) => {
                let uart = self.uart.as_mut();
                let bytes = uart.into_iter().flat_map(|uart| core::iter::from_fn(|| uart.get()));
                let typed: Vec<u8, MAX_TYPED> = bytes.take(MAX_TYPED).collect();
                axiom_runtime::Reply::ok(&Reply::Typed(&typed))
            }
        }
    }
}
