//! The other end of the message measurements: answers what it gets, in another address space.
use axiom_bench_metrics::elapsed;
use axiom_proto::bench::{INTERFACE, Reply, Request};
use axiom_proto::env::slot;
use axiom_proto::wire;
use axiom_runtime::sel4::{CPtr, MessageInfo, stubs};
use axiom_runtime::time;

const ENDPOINT: CPtr = CPtr(slot::ENDPOINT);
const REPLY: CPtr = CPtr(slot::REPLY);

/// Answers for ever, a postcard request no sooner than `delay` ticks after it came (a test's way to put a known delay into a figure). A message with the benchmark's label is decoded and answered in postcard; any other comes back as it
/// is, with label 0.
pub fn serve_for_ever(delay: u64) -> ! {
    let mut m = stubs::recv(ENDPOINT, REPLY);
    loop {
        let words = m.info.length();
        let (mut info, mut mrs) = (MessageInfo::new(0, 0, 0, words as u64), m.mrs);
        if m.info.label() == u64::from(INTERFACE) {
            let came = time::ticks();
            (info, mrs) = answer(&m.mrs, words);
            while delay > 0 && elapsed(came, time::ticks()) < delay {}
        }
        m = stubs::reply_recv(ENDPOINT, info, mrs, REPLY);
    }
}

fn answer(mrs: &[u64; 4], words: usize) -> (MessageInfo, [u64; 4]) {
    let mut bytes = [0u8; 32];
    for (chunk, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(mrs) {
        *chunk = word.to_le_bytes();
    }
    let reply = match wire::decode::<Request>(&bytes[..words.min(4) * 8]) {
        Ok(Request::Echo { value }) => Reply::Echo { value },
        _ => Reply::Done { metrics: 0 },
    };
    let mut out = [0u8; 32];
    let words = wire::encode(&reply, &mut out).unwrap_or(0);
    let mut mrs = [0u64; 4];
    for (word, chunk) in mrs.iter_mut().zip(out.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*chunk);
    }
    (MessageInfo::new(0, 0, 0, words as u64), mrs)
}
