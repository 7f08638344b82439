// Two maps of one file: clang names the section and puts the distance into the instruction.
#include "axiom_bpf.h"
static struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} first SEC(".maps"), second SEC(".maps");
static volatile int before, between = 5;
static const volatile int padding = 9, table[4] = {1, 2, 3, 4};
SEC("timer/10hz") int statics(struct timer_event *e) {
  __u32 key = 0;
  __u64 *a = bpf_map_lookup_elem(&first, &key), *b = bpf_map_lookup_elem(&second, &key);
  if (a && b) *a = 1, *b = table[3];
  return before + between + padding;
}
