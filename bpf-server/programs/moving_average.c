/* SPDX-License-Identifier: MIT OR Apache-2.0
 * The mean of the last 16 samples of a channel: accepts a sample when it is close to that mean, so that single spikes are
 * dropped. The window lives in an array map.
 */
#include "axiom_bpf.h"

#define WINDOW 16

const volatile __s32 tolerance = 64;

struct window {
  __s32 samples[WINDOW];
  __s32 sum;
  __u32 next;
  __u32 filled;
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct window);
} state SEC(".maps");

#ifdef FOR_LINUX_6_1 /* the comparison only: no signed division there */
static __always_inline __s32 mean(__s32 sum) {
  return sum < 0 ? -(__s32)(-(__u32)sum / WINDOW) : (__s32)((__u32)sum / WINDOW);
}
#else
static __always_inline __s32 mean(__s32 sum) { return sum / WINDOW; }
#endif

SEC("iio/adxl345/accel_y")
int moving_average(struct iio_event *event) {
  __u32 zero = 0;
  struct window *w = bpf_map_lookup_elem(&state, &zero);
  if (!w)
    return IIO_ACCEPT;
  __u32 at = w->next & (WINDOW - 1);
  __s32 value = event->value;
  w->sum += value - w->samples[at];
  w->samples[at] = value;
  w->next = at + 1;
  if (w->filled < WINDOW) {
    w->filled++;
    return IIO_ACCEPT;
  }
  __s32 distance = value - mean(w->sum);
  if (distance < 0)
    distance = -distance;
  return distance <= tolerance ? IIO_ACCEPT : IIO_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
