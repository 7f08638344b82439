/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A limit switch: the motors stand before this program has ended, and stay so until somebody whom the manifest names rearms
 * them. Nothing is asked of another server on the way.
 */
#include "axiom_bpf.h"

struct seen {
  __u64 edges;
  __u64 timestamp;
  __u64 done;
  __s64 result;
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct seen);
} seen SEC(".maps");

SEC("gpio/pl061/4/rising")
int limit_switch(struct gpio_event *event) {
  long result = bpf_motor_emergency_stop();
  __u64 done = bpf_ktime_get_ns();
  __u32 key = 0;
  struct seen *s = bpf_map_lookup_elem(&seen, &key);
  if (s) {
    s->timestamp = event->timestamp;
    s->done = done;
    s->result = result;
    s->edges++;
  }
  return 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
