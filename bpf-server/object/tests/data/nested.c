#include "axiom_bpf.h"
struct inner {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} inner SEC(".maps");
struct {
  __uint(type, 12);
  __uint(max_entries, 1);
  __type(key, __u32);
  struct inner *values[];
} outer SEC(".maps") = {.values = {&inner}};
SEC("timer/10hz") int nested(struct timer_event *e) { return bpf_map_lookup_elem(&outer, &(__u32){0}) != 0; }
