#include "axiom_bpf.h"
int counter = 3;
int unrelated = 4;
int *volatile where = &counter;
SEC("timer/10hz") int pointer(struct timer_event *e) {
  return unrelated + *where;
}
