//! What programs cannot do to the log, to each other's stack, and to bpf-server's memory, compiled or interpreted.

use crate::Tries;
use alloc::format;
use alloc::string::String;
use axiom_bpf_client::{BpfServer, Failure, Loaded};
use axiom_runtime::plain;
use axiom_runtime::proto::bpf::Refusal;

fn load(server: BpfServer, blob: &str, point: &str) -> Result<Loaded, (Option<Refusal>, String)> {
    server.load_at(blob, point, [None; 4]).map_err(|failure| match failure {
        Failure::Refused(why) => (Some(why), server.verdict()),
        other => (None, format!("{other:?}")),
    })
}

/// Each of them in turn; then an ordinary program is loaded as before.
pub fn run(tries: &mut Tries) {
    let Some(server) = tries.channel("bpf-server").map(BpfServer) else {
        return tries.works("the manifest gives this server a channel to bpf-server", false);
    };
    printing(tries, server);
    stack(tries, server);
    memory(tries, server);
    let ordinary = load(server, "timer_latency.o", "timer/100hz");
    tries.works("an ordinary program after all that", ordinary.is_ok());
    plain!("limits were tried");
}

/// Addresses are not printed; lines beyond what the log takes of programs are dropped, and counted.
fn printing(tries: &mut Tries, server: BpfServer) {
    match load(server, "bad_print.o", "timer/100hz") {
        Err((Some(Refusal::Verifier), why)) => {
            plain!("| {why}");
            tries.refused("prints an address", why.contains("bad_print.c:8"));
        }
        other => {
            plain!("{:?}", other.err());
            tries.refused("prints an address", false);
        }
    }
    match load(server, "chatty.o", "timer/1000hz") {
        Ok(chatty) => {
            tries.sleep(1500);
            let runs = server.counts(chatty.id).map_or(0, |counts| counts.0);
            tries.works(&format!("a program that prints a thousand lines a second: {runs} runs"), runs > 500);
            tries.works("unload", server.unload(chatty.id).is_ok());
        }
        Err((_, why)) => {
            plain!("{why}");
            tries.works("a program that prints a thousand lines a second", false);
        }
    }
}

/// One program leaves an address all over its stack; another one, which runs after it on the same server, finds zeros.
fn stack(tries: &mut Tries, server: BpfServer) {
    let (keeps, finds) =
        (load(server, "keeps_address.o", "timer/100hz"), load(server, "finds_zeros.o", "timer/100hz"));
    let (Ok(keeps), Ok(finds)) = (keeps, finds) else {
        plain!("{}", server.verdict());
        return tries.works("programs that leave addresses and look for them", false);
    };
    tries.sleep(300);
    let mut found = [0; 16];
    let read = server.value(finds.id, "seen", 0, &mut found);
    let [runs, bits] = [0, 8].map(|at| {
        let mut word = [0; 8];
        word.copy_from_slice(&found[at..at + 8]);
        u64::from_le_bytes(word)
    });
    tries.works(
        &format!("both ran: {runs} times"),
        read && runs > 5 && server.counts(keeps.id).is_some_and(|c| c.0 > 5),
    );
    tries.refused(&format!("finds what another program left: {bits:#x}"), bits == 0);
    tries.works("unload", server.unload(keeps.id).is_ok() && server.unload(finds.id).is_ok());
}

/// 800 branches in a loop, again and again: each time an answer, and the server is still there.
fn memory(tries: &mut Tries, server: BpfServer) {
    for turn in 0..5 {
        let answered = match load(server, "many_ifs.o", "timer/100hz") {
            Ok(loaded) => server.unload(loaded.id).is_ok(),
            Err((why, text)) => {
                plain!("| {text}");
                why.is_some()
            }
        };
        tries.works(&format!("800 branches in a loop are answered for, turn {turn}"), answered);
    }
}
