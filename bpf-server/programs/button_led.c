/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A button and an LED: the LED follows the line. What was done last is in `seen`, with the time of the edge and the time
 * at which the LED's pin had its level.
 */
#include "axiom_bpf.h"

const volatile __u32 led_chip = 0;
const volatile __u32 led_line = 6;

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

SEC("gpio/pl061/5/both")
int button_led(struct gpio_event *event) {
  long result = bpf_gpio_set(led_chip, led_line, event->level);
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
