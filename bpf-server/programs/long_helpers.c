/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Spends its time in helpers: is what they are counted with enough?
 */
#include "axiom_bpf.h"

const volatile __u32 passes = 1;

struct seen {
  __u64 runs;
  __u64 missed;
  __u64 late;
  __u64 longest; /* nanoseconds of a run, at most */
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct seen);
} seen SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 4);
  __type(key, __u64);
  __type(value, __u64[4]);
} last SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_QUEUE);
  __uint(max_entries, 4);
  __type(value, __u64[4]);
} waiting SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096);
} records SEC(".maps");

SEC("timer/100hz")
int long_helpers(struct timer_event *event) {
  __u64 entered = bpf_ktime_get_ns();
  __u32 first = 0;
  struct seen *s = bpf_map_lookup_elem(&seen, &first);
  if (!s)
    return 0;
  __u64 value[4] = {entered, 1, 2, 3};
#pragma clang loop unroll(disable)
  for (__u32 i = 0; i < passes; i++) {
    __u64 key = entered + i;
    bpf_map_update_elem(&last, &key, value, BPF_ANY);
    bpf_map_lookup_elem(&last, &key);
    bpf_map_push_elem(&waiting, value, BPF_EXIST);
    bpf_map_peek_elem(&waiting, value);
    bpf_map_pop_elem(&waiting, value);
    bpf_ringbuf_output(&records, value, sizeof value, 0);
    bpf_map_delete_elem(&last, &key);
  }
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
