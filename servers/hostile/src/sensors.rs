//! Sensors that others use.

use crate::Tries;
use alloc::format;
use axiom_runtime::proto::iio::{INTERFACE, Reply, Request};
use axiom_runtime::{Buffer, call, call_with_cap};

/// Stops, takes, rewires.
pub fn run(tries: &mut Tries) {
    let Some(server) = tries.channel("iio-server") else {
        return tries.works("the manifest gives this server a channel to iio-server", false);
    };
    // Whoever uses the sensors has begun.
    tries.sleep(tries.rt.arg_number("after_ms").unwrap_or(300));
    let own = tries.doorbell().0.0;
    for device in 0..2 {
        let requests = [
            ("stops the samples", Request::Sample { device, hz: 0 }),
            ("asks for the fastest samples", Request::Sample { device, hz: u32::MAX }),
            ("leaves the samples to the chip", Request::DataReady { device, hz: 1 }),
            ("asks for the page of the reader's position", Request::BufferFrame { device, page: 0 }),
            ("asks for scans", Request::BufferFrame { device, page: 2 }),
            ("ends the buffer", Request::Buffer { device, channels: 0, length: 0, watermark: 0 }),
        ];
        for (what, request) in requests {
            let reply = call::<_, Reply>(server, INTERFACE, &request, &mut Buffer::new())
                .map(|r| matches!(r, Reply::Done | Reply::Frame { .. }));
            tries.refused(&format!("{what} of device {device}"), reply == Ok(false));
        }
        let request = Request::Buffer { device, channels: 1, length: 1, watermark: 1 };
        let mut buffer = Buffer::new();
        let reply = call_with_cap::<_, Reply>(server, INTERFACE, &request, Some(own), &mut buffer);
        tries.refused(
            &format!("takes the doorbell of device {device}"),
            !matches!(reply, Ok((Reply::Done, _)) | Err(_)),
        );
    }
}
