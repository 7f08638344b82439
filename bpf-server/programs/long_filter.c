/* SPDX-License-Identifier: MIT OR Apache-2.0
 * The same on a sensor's samples.
 */
#include "axiom_bpf.h"

const volatile __u32 passes = 1000;

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} sums SEC(".maps");

SEC("iio/adxl345/accel_x")
int long_filter(struct iio_event *event) {
  __u32 key = 0;
  __u64 *sum = bpf_map_lookup_elem(&sums, &key);
  if (!sum)
    return 0;
#pragma clang loop unroll(disable)
  for (__u32 i = 0; i < passes; i++)
    *sum = *sum * 3 + event->value;
  return 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
