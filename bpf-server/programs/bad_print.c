/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Must be refused: it prints an address, by which whoever reads the log learns where the server keeps its events.
 */
#include "axiom_bpf.h"

SEC("timer/100hz")
int bad_print(struct timer_event *event) {
  bpf_printk("the event is at %llx", event);
  return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
