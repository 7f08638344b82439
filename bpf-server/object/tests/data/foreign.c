#include "axiom_bpf.h"
extern int kernel_function(int n);
SEC("timer/10hz") int foreign(struct timer_event *e) {
  return kernel_function(3);
}
