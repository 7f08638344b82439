/* SPDX-License-Identifier: MIT OR Apache-2.0
 * 800 branches in a loop: whoever keeps what is known of each place of it needs much memory.
 */
#include "axiom_bpf.h"

#define IF "if %0 s> 77 goto +1\n%0 += 3\n"
#define IFS_10 IF IF IF IF IF IF IF IF IF IF
#define IFS_100 IFS_10 IFS_10 IFS_10 IFS_10 IFS_10 IFS_10 IFS_10 IFS_10 IFS_10 IFS_10
#define IFS_800 IFS_100 IFS_100 IFS_100 IFS_100 IFS_100 IFS_100 IFS_100 IFS_100

SEC("timer/100hz")
int many_ifs(struct timer_event *event) {
  __u64 sum = event->deadline;
#pragma clang loop unroll(disable)
  for (int i = 0; i < 5; i++)
    asm volatile(IFS_800 : "+r"(sum));
  return sum & 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
