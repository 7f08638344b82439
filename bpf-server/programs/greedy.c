/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Tries to drive lines that it computes, which no check before the run can know, and a PWM channel. What the helpers said
 * is in `results`: by line, and behind the lines the channel's.
 */
#include "axiom_bpf.h"

#define LINES 32

const volatile __u32 chip = 0;
const volatile __u32 pwm_chip = 0;
const volatile __u32 channel = 0;

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, LINES + 2);
  __type(key, __u32);
  __type(value, __s64);
} results SEC(".maps");

static __always_inline void keep(__u32 key, __s64 value) {
  __s64 *to = bpf_map_lookup_elem(&results, &key);
  if (to)
    *to = value;
}

SEC("gpio/pl061/5/rising")
int greedy(struct gpio_event *event) {
  for (__u32 i = 0; i < LINES; i++) {
    __u32 line = (event->line + i) % LINES;
    keep(line, bpf_gpio_set(chip, line, 1));
  }
  keep(LINES, bpf_pwm_set(pwm_chip, channel, 65535));
  keep(LINES + 1, 1);
  return 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
