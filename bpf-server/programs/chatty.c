/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Prints more lines than the log takes of programs: those that are dropped are counted, and the number is told.
 */
#include "axiom_bpf.h"

SEC("timer/1000hz")
int chatty(struct timer_event *event) {
  bpf_printk("expected at %llu", event->deadline);
  return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
