/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Refused: half of the record that goes to the ring buffer was never written, and would leak the stack.
 */
#include "axiom_bpf.h"

struct record {
  __u64 timestamp;
  __u64 value;
};

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096);
} records SEC(".maps");

SEC("iio/adxl345/accel_x")
int bad_uninit(struct iio_event *event) {
  struct record r;
  r.timestamp = event->timestamp; /* r.value is forgotten */
  bpf_ringbuf_output(&records, &r, sizeof r, 0);
  return IIO_ACCEPT;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
