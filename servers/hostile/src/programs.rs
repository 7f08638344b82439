//! Programs of others, rights of others, and what one client can use up of bpf-server.

use crate::Tries;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use axiom_bpf_client::{BpfServer, Failure, Loaded, ring};
use axiom_runtime::proto::bpf::{INTERFACE, ProgramId, Reply, Request, Setting, Source};
use axiom_runtime::proto::gpio;
use axiom_runtime::{Buffer, Pages, call, call_with_cap, plain};

/// How long programs of others are waited for.
const LOOKS: u32 = 2000;

fn server(tries: &mut Tries) -> Option<BpfServer> {
    let found = tries.channel("bpf-server").map(BpfServer);
    tries.works("the manifest gives this server a channel to bpf-server", found.is_some());
    found
}

fn refused(reply: &Result<Reply<'_>, axiom_runtime::proto::Error>) -> bool {
    matches!(reply, Ok(Reply::Refused(_)))
}

fn programs(server: BpfServer) -> Vec<(ProgramId, String, String)> {
    let (mut list, mut after) = (Vec::new(), 0);
    while let Some(next) = server.next(after, |p| (p.id, String::from(p.name), String::from(p.point))) {
        after = next.0.0;
        list.push(next);
    }
    list
}

/// Everything that one client could do to another's programs.
pub fn others(tries: &mut Tries) {
    let Some(server) = server(tries) else { return };
    let wanted = tries.rt.arg_number("programs").unwrap_or(1) as usize;
    let mut list = Vec::new();
    for _ in 0..LOOKS {
        list = programs(server);
        if list.len() >= wanted {
            break;
        }
        tries.sleep(1);
    }
    tries.works(&format!("{wanted} programs of others are there"), list.len() >= wanted);
    let own = tries.doorbell().0.0;
    for (program, name, point) in &list {
        let program = *program;
        for map in ["events", "seen", "latencies", "results"] {
            for page in 0..2 {
                let request = Request::MapFrame { program, map, page };
                let mut buffer = Buffer::new();
                let reply = call(server.0, INTERFACE, &request, &mut buffer);
                tries.refused(&format!("maps page {page} of {map} of {name}"), refused(&reply));
            }
            let mut buffer = Buffer::new();
            let reply =
                call(server.0, INTERFACE, &Request::MapRead { program, map, key: &[0; 4] }, &mut buffer);
            tries.refused(&format!("reads {map} of {name}"), refused(&reply));
            let mut buffer = Buffer::new();
            let reply =
                call_with_cap(server.0, INTERFACE, &Request::Notify { program, map }, Some(own), &mut buffer);
            tries.refused(&format!("takes the doorbell of {map} of {name}"), refused(&reply.map(|r| r.0)));
        }
        for blob in ["straight_2.o", "oscillator.o"] {
            let request = Request::Load {
                source: Source::Blob(blob),
                program: "",
                point,
                attach: true,
                replaces: Some(program),
                settings: [None; 4],
            };
            let mut buffer = Buffer::new();
            let reply = call(server.0, INTERFACE, &request, &mut buffer);
            tries.refused(&format!("replaces {name} with {blob}"), refused(&reply));
        }
        for (what, request) in [
            ("detaches", Request::Detach { program }),
            ("attaches again", Request::Attach { program }),
            ("unloads", Request::Unload { program }),
        ] {
            let mut buffer = Buffer::new();
            let reply = call(server.0, INTERFACE, &request, &mut buffer);
            tries.refused(&format!("{what} {name}"), refused(&reply));
        }
    }
    // Rights of programs of the bundle, with settings of its own choice.
    for (blob, point) in [
        ("button_led.o", "gpio/pl061/5/both"),
        ("greedy.o", "gpio/pl061/5/both"),
        ("limit_switch.o", "gpio/pl061/4/falling"),
        ("speed_limit.o", "pwm/soft-pwm/0"),
        ("iio_filter.o", "iio/adxl345/accel_x"),
    ] {
        let settings = [Some(Setting { name: "minimum", value: 1 << 30 }), None, None, None];
        let settings = if blob == "iio_filter.o" { settings } else { [None; 4] };
        let request = Request::Load {
            source: Source::Blob(blob),
            program: "",
            point,
            attach: true,
            replaces: None,
            settings,
        };
        let mut buffer = Buffer::new();
        let reply = call(server.0, INTERFACE, &request, &mut buffer);
        tries.refused(&format!("loads {blob} at {point} with the rights of others"), refused(&reply));
    }
    let left = programs(server);
    tries.refused("a program of others is gone", list.iter().all(|(id, ..)| left.iter().any(|l| l.0 == *id)));
}

fn load_at(server: BpfServer, blob: &str, point: &str) -> Result<Loaded, String> {
    match server.load_at(blob, point, [None; 4]) {
        Ok(loaded) => Ok(loaded),
        Err(Failure::Refused(why)) => Err(format!("{why:?}: {}", server.verdict())),
        Err(Failure::Error(error)) => Err(format!("{error}")),
        Err(Failure::Surprise) => Err("an answer that makes no sense".into()),
    }
}

/// Rates come and go: their timers are given back.
pub fn rates(tries: &mut Tries) {
    let Some(server) = server(tries) else { return };
    for hz in 1..=40 {
        let point = format!("timer/{}hz", 10 * hz);
        match load_at(server, "timer_latency.o", &point) {
            Ok(loaded) => tries.works("unload", server.unload(loaded.id).is_ok()),
            Err(why) => {
                plain!("{point}: {why}");
                tries.works(&format!("rate number {hz} after the others were given back"), false);
                return;
            }
        }
    }
    plain!("40 rates came and went");
}

/// Objects of different sizes come and go.
pub fn sizes(tries: &mut Tries) {
    let Some(server) = server(tries) else { return };
    let objects = [
        "straight_2.o",
        "straight_100.o",
        "straight_1000.o",
        "moving_average.o",
        "timer_latency.o",
        "hysteresis.o",
    ];
    let mut held: Vec<Loaded> = Vec::new();
    for turn in 0..200usize {
        // Up to three at a time, so that what is given back does not lie together.
        let object = objects[(turn * 7 + turn / 6) % objects.len()];
        match load_at(server, object, ["timer/100hz", "timer/50hz"][turn % 2]) {
            Ok(loaded) => held.push(loaded),
            Err(why) => {
                plain!("{object}: {why}");
                tries.works(&format!("load number {turn}"), false);
                return;
            }
        }
        if held.len() == 3 {
            let out = held.remove(0);
            tries.works("unload", server.unload(out.id).is_ok());
        }
    }
    for out in held {
        tries.works("unload", server.unload(out.id).is_ok());
    }
    plain!("200 programs came and went");
}

/// One line in many spellings.
pub fn spellings(tries: &mut Tries) {
    let Some(server) = server(tries) else { return };
    let mut opened = 0;
    for zeros in 1..40 {
        for sign in ["", "+"] {
            let point = format!("gpio/pl061/{sign}{:0>zeros$}/both", 5);
            match load_at(server, "button_led.o", &point) {
                Ok(loaded) => {
                    opened += u32::from(zeros > 1 || !sign.is_empty());
                    tries.works("unload", server.unload(loaded.id).is_ok());
                }
                Err(why) if zeros == 1 && sign.is_empty() => {
                    plain!("{point}: {why}");
                    tries.works("its own program on its own line", false);
                }
                Err(_) => {}
            }
        }
    }
    tries.refused(&format!("{opened} attach points opened for one line"), opened == 0);
}

/// Has a program with a ring buffer that others attack: its records go on, whatever they do.
pub fn victim(tries: &mut Tries) {
    let Some(server) = server(tries) else { return };
    let loaded = match load_at(server, "timer_latency.o", "timer/100hz") {
        Ok(loaded) => loaded,
        Err(why) => {
            plain!("{why}");
            return tries.works("the victim's program", false);
        }
    };
    let mut space = Pages::new(tries.rt.env().scratch);
    let Some(mut ring) = ring::map(server, loaded.id, "latencies", &mut tries.slots, &mut space) else {
        return tries.works("the victim's ring buffer", false);
    };
    for _ in 0..20 {
        tries.sleep(100);
        let mut records = 0;
        while ring.consumer.next(|_| ()).is_some() {
            records += 1;
        }
        if records == 0 {
            return tries.works("the victim's records go on", false);
        }
    }
    plain!("the victim's records went on");
}

/// bpf-server dies: programs that it placed do no harm, the pinned one is there again, motors are held meanwhile, and everything works.
pub fn reload(tries: &mut Tries) {
    let Some(server) = server(tries) else { return };
    let Some(lines) = tries.channel("gpio-server") else { return };
    let stopped = || {
        let request = gpio::Request::Motors;
        match call(lines, gpio::INTERFACE, &request, &mut Buffer::new()) {
            Ok(gpio::Reply::Motors { stopped, .. }) => Some(stopped),
            _ => None,
        }
    };
    let pinned = || programs(server).iter().filter(|p| p.1 == "limit_switch").count();
    tries.works("the limit switch is in its place", pinned() == 1);
    tries.works("the motors may be driven", stopped() == Some(false));
    let loaded = load_at(server, "timer_latency.o", "timer/100hz");
    tries.works("a program of its own", loaded.is_ok());
    for _ in 0..60 {
        // Its code runs a hundred times a second all the while.
        tries.sleep(50);
        if programs(server).len() == 1 {
            break;
        }
    }
    plain!("bpf-server was started again");
    tries
        .works("the limit switch is in its place again, alone", pinned() == 1 && programs(server).len() == 1);
    tries.works("the motors are held: nobody watched meanwhile", stopped() == Some(true));
    for turn in 0..5 {
        let again = load_at(server, "timer_latency.o", "timer/100hz");
        tries.works(&format!("load {turn} after the restart"), again.is_ok());
        tries.sleep(100);
        if let Ok(again) = again {
            tries.works("it runs", server.counts(again.id).is_some_and(|c| c.0 > 5));
            tries.works("unload", server.unload(again.id).is_ok());
        }
    }
}
