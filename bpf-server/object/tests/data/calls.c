/* SPDX-License-Identifier: MIT OR Apache-2.0
 * What the object reader has to link: calls across and inside sections, all kinds of data, two programs.
 * clang-19 -target bpf -mcpu=v4 -O2 -g -I../../../programs/include -c calls.c -o calls.o
 */
#include "axiom_bpf.h"

static volatile __u64 zeroed;
static volatile __u64 started = 7;
static const volatile __u32 table[4] = {1, 2, 3, 4};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 8);
  __type(key, __u32);
  __type(value, __u64);
} seen SEC(".maps");

static __noinline __u64 leaf(__u64 x) { return x * 3 + started; }

__noinline __u64 shared(__u64 x) {
  zeroed += x;
  return leaf(x) + leaf(x + 1) + table[x & 3];
}

SEC("timer/10hz")
int first(struct timer_event *event) {
  __u32 key = 1;
  __u64 *value = bpf_map_lookup_elem(&seen, &key);
  return value ? shared(*value) : leaf(event->now);
}

SEC("timer/10hz")
int second(struct timer_event *event) { return shared(event->now); }

char LICENSE[] SEC("license") = "Dual MIT/GPL";
