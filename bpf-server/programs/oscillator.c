/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Answers every edge of a line with the opposite level on the same line. Where a chip sees the edges of its own outputs, this never
 * ends: the server must not spend its time on it.
 */
#include "axiom_bpf.h"

SEC("gpio/rp1/17/both")
int oscillator(struct gpio_event *event) {
  bpf_gpio_set(0, 17, !event->level);
  return 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
