/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Takes as long as it is told to, and looks whether its timer keeps its deadlines: for tests of how much time programs get.
 */
#include "axiom_bpf.h"

/* How long: passes of the loop. */
const volatile __u32 passes = 1000;

struct seen {
  __u64 runs;
  __u64 missed;  /* deadlines */
  __u64 late;    /* nanoseconds from a deadline to this program, at most */
  __u64 longest; /* nanoseconds of a run, at most */
  __u64 sum;
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct seen);
} seen SEC(".maps");

SEC("timer/1000hz")
int long_run(struct timer_event *event) {
  __u64 entered = bpf_ktime_get_ns();
  __u32 key = 0;
  struct seen *s = bpf_map_lookup_elem(&seen, &key);
  if (!s)
    return 0;
#pragma clang loop unroll(disable)
  for (__u32 i = 0; i < passes; i++)
    s->sum = s->sum * 3 + i;
  s->runs++;
  s->missed += event->expirations - 1;
  if (entered - event->deadline > s->late)
    s->late = entered - event->deadline;
  __u64 took = bpf_ktime_get_ns() - entered;
  if (took > s->longest)
    s->longest = took;
  return 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
