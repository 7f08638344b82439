//! Where a scan goes: through the programs of its channels, and into the buffer if they accept it.

use axiom_bpf_host::{Host, PointId};
use axiom_iio::{Buffer, CHANNELS, Event, Scan};
use axiom_runtime::proto::iio::Counts;

/// What programs and consumers get of a scan.
pub struct Sink<'a> {
    /// The device's number.
    pub index: u32,
    /// Its programs.
    pub host: &'a mut Host,
    /// Where they are attached, by channel.
    pub points: &'a [PointId],
    /// Its channels.
    pub channels: &'static [axiom_iio::Channel],
    /// What happens to its samples.
    pub counts: &'a mut Counts,
    /// What is accepted.
    pub buffer: &'a mut Buffer,
    /// The watermark was reached.
    pub told: bool,
}

impl Sink<'_> {
    /// Runs the programs on each channel of a scan, and keeps it if they accept it.
    pub fn deliver(&mut self, timestamp: u64, raw: [i32; CHANNELS]) {
        let mut accepted = 0;
        for (i, (channel, point)) in self.channels.iter().zip(self.points).enumerate() {
            let mut event = Event {
                timestamp,
                device: self.index,
                channel: i as u32,
                value: raw[i],
                scale: channel.scale_nano.min(u32::MAX as u64) as u32,
                offset: channel.offset,
                padding: 0,
            };
            self.counts.samples += 1;
            if self.host.run(*point, &mut event) {
                self.counts.accepted += 1;
                accepted |= 1 << i;
            } else {
                self.counts.dropped += 1;
            }
        }
        self.told |= self.buffer.push(Scan { timestamp, raw }, accepted);
    }
}
