/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A speed limit: never more than `most`, and never more than `step` faster than it is.
 */
#include "axiom_bpf.h"

const volatile __u32 most = 40000;
const volatile __u32 step = 30000;

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 2);
  __type(key, __u32);
  __type(value, __u64);
} counts SEC(".maps");

SEC("pwm/soft-pwm/0")
int speed_limit(struct pwm_event *event) {
  __u32 allowed = event->current + step < most ? event->current + step : most;
  __u32 key = event->requested > allowed;
  __u64 *count = bpf_map_lookup_elem(&counts, &key);
  if (count)
    *count += 1;
  return allowed;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
