/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Drops samples outside a range and passes the others to a ring buffer. The range is read-only data, which the loader
 * may set before it verifies the program; the counters can be read while the program runs.
 */
#include "axiom_bpf.h"

#ifndef POINT
#define POINT "iio/adxl345/accel_x"
#endif

const volatile __s32 minimum = 100;
const volatile __s32 maximum = 900;

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096);
} events SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 2);
  __type(key, __u32);
  __type(value, __u64);
} counts SEC(".maps");

static __always_inline void count(__u32 which) {
  __u64 *n = bpf_map_lookup_elem(&counts, &which);
  if (n)
    __sync_fetch_and_add(n, 1);
}

SEC(POINT)
int iio_filter(struct iio_event *event) {
  __s32 value = event->value;
  if (value < minimum || value > maximum) {
    count(IIO_DROP);
    return IIO_DROP;
  }
#ifdef FOR_LINUX_6_1 /* the comparison only: helpers there take no context as memory */
  struct iio_event copy = *event;
  event = &copy;
#endif
  bpf_ringbuf_output(&events, event, IIO_EVENT_SIZE, 0);
  count(IIO_ACCEPT);
  return IIO_ACCEPT;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
