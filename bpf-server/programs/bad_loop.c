/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Refused: the loop ends only when somebody else changes a map, which may be never.
 */
#include "axiom_bpf.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32);
} ready SEC(".maps");

SEC("iio/adxl345/accel_x")
int bad_loop(struct iio_event *event) {
  __u32 zero = 0;
  volatile __u32 *flag = bpf_map_lookup_elem(&ready, &zero);
  if (!flag)
    return IIO_ACCEPT;
  while (*flag == 0) /* waits for another program */
    ;
  return IIO_ACCEPT;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
