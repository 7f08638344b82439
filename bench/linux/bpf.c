/* SPDX-License-Identifier: MIT OR Apache-2.0
 * What loading a program costs through bpf(): the same instructions and maps as Axiom's benchmark loads, from objects that were
 * parsed beforehand (programs.h). Timed: making the maps, then BPF_PROG_LOAD, which verifies and compiles. Linux attaches by
 * another call, which is not in it; Axiom's figure has parsing and attaching in it as well.
 *
 * The programs read Axiom's contexts (a timer's, a sensor's sample), which Linux has no program types for. They are loaded as
 * BPF_PROG_TYPE_SYSCALL, whose context is plain memory.
 */
#include "measure.h"
#include "programs.h"
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOADS 10
#define MAX_INSNS 2048

static int bpf(int command, union bpf_attr *attr) { return syscall(SYS_bpf, command, attr, sizeof *attr); }

static int make_map(const struct map *map) {
  union bpf_attr attr = {
      .map_type = map->type,
      .key_size = map->key_size,
      .value_size = map->value_size,
      .max_entries = map->max_entries,
      .map_flags = map->read_only ? BPF_F_RDONLY_PROG : 0,
  };
  int fd = bpf(BPF_MAP_CREATE, &attr);
  if (fd < 0 || !map->contents)
    return fd;
  uint32_t key = 0;
  union bpf_attr update = {
      .map_fd = fd, .key = (uintptr_t)&key, .value = (uintptr_t)map->contents, .flags = BPF_ANY};
  union bpf_attr freeze = {.map_fd = fd};
  if (bpf(BPF_MAP_UPDATE_ELEM, &update) || (map->read_only && bpf(BPF_MAP_FREEZE, &freeze))) {
    close(fd);
    return -1;
  }
  return fd;
}

static char reason[120];

/* The last line but one of the verifier's log says what is wrong. */
static void why(char *text, int error) {
  snprintf(reason, sizeof reason, "%s", strerror(error));
  for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
    if (strncmp(line, "processed ", 10))
      snprintf(reason, sizeof reason, "%s: %.90s", strerror(error), line);
}

/* Loads once; nanoseconds, or 0 with the reason kept. */
static uint64_t load(const struct program *p) {
  static struct bpf_insn insns[MAX_INSNS];
  int maps[MAX_MAPS];
  memcpy(insns, p->insns, p->count * sizeof *insns);
  uint64_t start = now();
  uint32_t made = 0;
  int failed = 0;
  for (; made < p->maps_count; made++) {
    maps[made] = make_map(&p->maps[made]);
    if (maps[made] < 0) {
      failed = errno;
      break;
    }
  }
  for (uint32_t i = 0; i < p->references_count && !failed; i++)
    insns[p->references[i].at].imm = maps[p->references[i].map];
  int fd = -1;
  if (!failed) {
    union bpf_attr attr = {
        .prog_type = BPF_PROG_TYPE_SYSCALL,
        .insns = (uintptr_t)insns,
        .insn_cnt = p->count,
        .license = (uintptr_t) "Dual MIT/GPL",
        .prog_flags = BPF_F_SLEEPABLE,
    };
    fd = bpf(BPF_PROG_LOAD, &attr);
    failed = fd < 0 ? errno : 0;
    if (failed) {
      /* Once more, for the verifier's last words. */
      static char text[1 << 16];
      attr.log_buf = (uintptr_t)text;
      attr.log_size = sizeof text;
      attr.log_level = 1;
      bpf(BPF_PROG_LOAD, &attr);
      why(text, failed);
    }
  }
  uint64_t end = now();
  if (fd >= 0)
    close(fd);
  for (uint32_t i = 0; i < made; i++)
    close(maps[i]);
  return failed ? 0 : end - start;
}

void bpf_rows(void) {
  for (uint32_t k = 0; k < sizeof programs / sizeof *programs; k++) {
    const struct program *p = &programs[k];
    double samples[LOADS];
    char name[80];
    int n = 0;
    snprintf(name, sizeof name, "bpf.load.%s.total", p->name);
    while (n < LOADS) {
      uint64_t spent = load(p);
      if (!spent)
        break;
      samples[n++] = spent;
    }
    if (n == LOADS)
      metric(name, "ns", samples, n, 0);
    else
      missed(name, reason);
  }
}
