/* SPDX-License-Identifier: MIT OR Apache-2.0
 * The time from a timer's deadline to the program's first instruction: the clock is read first, then the pair is passed
 * on through a ring buffer.
 */
#include "axiom_bpf.h"

struct latency {
  __u64 deadline;
  __u64 entered;
};

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 8192);
} latencies SEC(".maps");

/* `build` makes it for other timers, too. */
#ifndef ATTACH
#define ATTACH "timer/100hz"
#endif

SEC(ATTACH)
int timer_latency(struct timer_event *event) {
  struct latency l;
  l.entered = bpf_ktime_get_ns();
  l.deadline = event->deadline;
  bpf_ringbuf_output(&latencies, &l, sizeof l, 0);
  return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
