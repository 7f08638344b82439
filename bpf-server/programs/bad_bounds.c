/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Refused: the index comes from the sensor and nothing bounds it.
 */
#include "axiom_bpf.h"

struct histogram {
  __u32 bins[16];
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct histogram);
} histograms SEC(".maps");

SEC("iio/adxl345/accel_x")
int bad_bounds(struct iio_event *event) {
  __u32 zero = 0;
  struct histogram *h = bpf_map_lookup_elem(&histograms, &zero);
  if (!h)
    return IIO_ACCEPT;
  h->bins[event->value]++; /* event->value may be anything */
  return IIO_ACCEPT;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
