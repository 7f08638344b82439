/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Leaves its event's address all over its stack. No other program may find it there: see finds_zeros.c.
 */
#include "axiom_bpf.h"

SEC("timer/100hz")
int keeps_address(struct timer_event *event) {
  struct timer_event *volatile kept[48];
#pragma clang loop unroll(full)
  for (int i = 0; i < 48; i++)
    kept[i] = event;
  return kept[5] == event;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
