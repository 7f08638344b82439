#include "axiom_bpf.h"
static long (*const bpf_loop)(__u32 n, void *callback, void *context, __u64 flags) = (void *)181;
static long step(__u32 i, void *context) { return i > 5; }
SEC("timer/10hz") int callback(struct timer_event *e) {
  return bpf_loop(10, step, 0, 0);
}
