/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A sample's way: when it was triggered and when the program's first instruction ran, passed on to whoever waits.
 */
#include "axiom_bpf.h"

struct way {
  __u64 triggered;
  __u64 entered;
};

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096);
} ways SEC(".maps");

SEC("iio/adxl345/accel_x")
int sample_latency(struct iio_event *event) {
  struct way w;
  w.entered = bpf_ktime_get_ns();
  w.triggered = event->timestamp;
  bpf_ringbuf_output(&ways, &w, sizeof w, 0);
  return 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
