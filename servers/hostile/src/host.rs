//! Machine code of its own, in a server that runs programs: the interface of bpf-server is tried at every server that may be called.

use crate::Tries;
use alloc::format;
use axiom_runtime::proto::bpf::ProgramId;
use axiom_runtime::proto::bpf_host::{INTERFACE, Numbers, Reply, Request};
use axiom_runtime::proto::gpio::{CHANNELS, CHIPS, Channel, Grants, LINES, Line};
use axiom_runtime::sel4::{CPtr, CapRights};
use axiom_runtime::{Buffer, CNode, Endpoint, Frame, Pages, Untyped, call, call_with_cap, code};

/// `mov x0, #1; ret`.
const CODE: [u32; 2] = [0xd280_0020, 0xd65f_03c0];
const PROGRAM: ProgramId = ProgramId(0xbad);
const POINTS: [&str; 3] = ["timer/100hz", "gpio/pl061/5/both", "iio/adxl345/accel_x"];

/// A frame with code in it, read-only, as bpf-server would send it.
fn frame(tries: &mut Tries) -> Option<CPtr> {
    let env = tries.rt.env();
    let untyped = env.untyped?;
    let (whole, read) = (tries.slots.take()?, tries.slots.take()?);
    Untyped(CPtr(untyped.slot)).frames(whole, 1).ok()?;
    let at = Pages::new(env.scratch).take(1)?;
    Frame(whole).map_data(at, true).ok()?;
    // SAFETY: the page was just mapped writable here, and nobody else has it.
    unsafe { (at as *mut [u32; 2]).write_volatile(CODE) };
    // SAFETY: mapped here.
    unsafe { code::publish(at as *const u8, 8) };
    CNode::OWN.copy(read, whole, CapRights::READ).ok()?;
    Some(read)
}

/// All rights, as somebody would write them who may.
fn everything() -> Grants {
    let mut grants = Grants::NONE;
    for chip in 0..CHIPS as u8 {
        (0..LINES).for_each(|line| grants.grant_line(Line { chip, line }, true));
        (0..CHANNELS).for_each(|channel| grants.grant_channel(Channel { chip, channel }));
    }
    (grants.motor_stop, grants.motor_rearm) = (true, true);
    grants
}

fn ask(server: Endpoint, request: &Request<'_>, cap: Option<CPtr>) -> Option<Reply> {
    call_with_cap::<_, Reply>(server, INTERFACE, request, cap, &mut Buffer::new()).ok().map(|r| r.0)
}

/// Tries it all.
pub fn run(tries: &mut Tries) {
    let Some(frame) = frame(tries) else {
        return tries
            .works("the manifest gives this server untyped memory and scratch for a frame of code", false);
    };
    for channel in tries.rt.env().channels {
        let (name, server) = (channel.name, Endpoint(CPtr(channel.slot)));
        let hello = ask(server, &Request::Hello, None);
        tries.refused(&format!("{name} is asked for its start's number"), hello.is_none());
        let code = ask(server, &Request::Code { page: 255 }, Some(frame));
        tries.refused(&format!("{name} maps code"), code.is_none());
        let data = ask(server, &Request::MapPage { page: 511, writable: false }, Some(frame));
        tries.refused(&format!("{name} maps data"), data.is_none());
        for point in POINTS {
            let request = Request::Attach {
                numbers: Numbers {
                    program: PROGRAM,
                    page: 255,
                    pages: 1,
                    slots: 0,
                    replaces: None,
                    cost: 0,
                    client: axiom_runtime::ClientBadge::NOBODY,
                },
                point,
                name: "hostile",
                grants: Some(everything()),
                maps: &[],
                kept: false,
            };
            let reply = ask(server, &request, Some(frame));
            tries.refused(
                &format!("{name} attaches machine code with all rights at {point}: {reply:?}"),
                reply.is_none(),
            );
        }
        tries.sleep(50);
        if let Some(Reply::Stats { runs, .. }) = ask(server, &Request::Stats { program: PROGRAM }, None) {
            tries.refused(&format!("its own machine code ran {runs} times inside {name}"), false);
        }
        for program in 1..8 {
            let reply = ask(server, &Request::Detach { program: ProgramId(program) }, None);
            tries.refused(&format!("{name} detaches program {program}: {reply:?}"), reply.is_none());
        }
        for slot in 1..8 {
            let reply = ask(server, &Request::RemoveMap { slot }, None);
            tries.refused(&format!("{name} removes map {slot}: {reply:?}"), reply.is_none());
        }
        let reply = ask(server, &Request::RemoveCode { page: 0, pages: 8 }, None);
        tries.refused(&format!("{name} gives up code pages: {reply:?}"), reply.is_none());
        // It lives.
        let alive = call::<_, Reply>(server, 0x7777, &0u8, &mut Buffer::new());
        tries.works(&format!("{name} answers"), alive.is_err());
    }
}
