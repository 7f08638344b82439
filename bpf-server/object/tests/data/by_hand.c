// A wide load of kind 2 (a map's value) that no relocation made.
#include "axiom_bpf.h"
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64[2]);
} m SEC(".maps");
SEC("timer/10hz") int by_hand(struct timer_event *e) {
  __u32 key = 0;
  bpf_map_lookup_elem(&m, &key);
  char *p;
  asm volatile(".byte 0x18, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff\n%0 = r0" : "=r"(p)::"r0");
  *p = 7;
  return 1;
}
