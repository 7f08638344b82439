/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A threshold with hysteresis: reports the moments when the signal rises above `high` or falls below `low`, and drops
 * everything between. Each change goes to a hash map by device and channel, with its time.
 */
#include "axiom_bpf.h"

const volatile __s32 low = -40;
const volatile __s32 high = 40;

struct source {
  __u32 device;
  __u32 channel;
};

struct level {
  __u64 since;
  __u32 above;
  __u32 changes;
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 16);
  __type(key, struct source);
  __type(value, struct level);
} levels SEC(".maps");

SEC("iio/adxl345/accel_z")
int hysteresis(struct iio_event *event) {
  struct source key = {event->device, event->channel};
  struct level *level = bpf_map_lookup_elem(&levels, &key);
  __s32 value = event->value;
  if (!level) {
    struct level first = {event->timestamp, value > high, 0};
    bpf_map_update_elem(&levels, &key, &first, BPF_ANY);
    return IIO_ACCEPT;
  }
  if (level->above ? value >= low : value <= high)
    return IIO_DROP;
  level->above = !level->above;
  level->since = event->timestamp;
  level->changes++;
  return IIO_ACCEPT;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
