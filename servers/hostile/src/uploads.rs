//! Uploads that are never loaded, and a client that only wants to load its object.

use crate::Tries;
use alloc::format;
use axiom_bpf_client::BpfServer;
use axiom_runtime::proto::bpf::{INTERFACE, MAX_INLINE, MAX_OBJECT, MAX_PIECE, Reply, Request};
use axiom_runtime::{Buffer, call, plain};

/// Takes as much room for an upload as it gets, keeps it busy, and never loads anything.
pub fn hoard(tries: &mut Tries) {
    let Some(server) = tries.channel("bpf-server") else { return };
    let piece = |offset: usize, bytes: &[u8]| {
        let request = Request::Upload { offset: offset as u32, bytes };
        matches!(call(server, INTERFACE, &request, &mut Buffer::new()), Ok(Reply::Done))
    };
    let mut held = 0;
    while held + MAX_PIECE <= MAX_OBJECT && piece(held, &[7; MAX_PIECE]) {
        held += MAX_PIECE;
    }
    plain!("{held} bytes of an upload are held");
    loop {
        tries.sleep(20);
        if piece(held, &[7]) {
            held += 1;
        }
    }
}

/// Loads its object, from its own bytes, again and again.
pub fn honest(tries: &mut Tries) {
    let Some(server) = tries.channel("bpf-server").map(BpfServer) else {
        return tries.works("the manifest gives this server a channel to bpf-server", false);
    };
    tries.sleep(tries.rt.arg_number("after_ms").unwrap_or(0));
    let object = tries.rt.blob("timer_latency.o").unwrap_or(&[]);
    tries.works("an object that needs an upload", object.len() > MAX_INLINE);
    for turn in 0..20 {
        match server.load_bytes(object, false) {
            Ok(loaded) => tries.works("unload", server.unload(loaded.id).is_ok()),
            Err(why) => {
                plain!("{why:?}: {}", server.verdict());
                return tries.refused(&format!("load number {turn} finds no room"), false);
            }
        }
    }
    plain!("20 objects were uploaded and loaded");
}
