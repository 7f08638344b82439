/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Must be refused: it ends, but late. On an edge it would keep the server waiting that stops the motors.
 */
#include "axiom_bpf.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} sums SEC(".maps");

SEC("gpio/pl061/5/rising")
int bad_slow(struct gpio_event *event) {
  __u32 key = 0;
  __u64 *sum = bpf_map_lookup_elem(&sums, &key);
  if (!sum)
    return 0;
#pragma clang loop unroll(disable)
  for (int i = 0; i < 10000; i++)
    *sum = *sum * 3 + event->line;
  return 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
