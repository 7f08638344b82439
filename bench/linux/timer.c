/* SPDX-License-Identifier: MIT OR Apache-2.0
 * From a deadline to the first instruction of a BPF program, where the program runs from a timer of its own (bpf_timer): a
 * program that is run once arms it for 10 ms; its callback's first statement reads the clock, keeps how late it is, and arms
 * it again. The deadline is the clock just before bpf_timer_start plus the delay, so what that call does before it reads the
 * clock itself counts as lateness.
 *
 * The program is written as instructions, because a callback and a timer in a map need type information (BTF) that names
 * them, and a loader that understands it; this file has both, and nothing else.
 */
#include "measure.h"
#include <errno.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES 100
#define PERIOD_NS 10000000
#define NAME "timer.deadline_to_first_bpf_instruction"

/* The map's one value. */
struct value {
  struct bpf_timer timer;
  uint64_t armed, count, late[SAMPLES];
};

static int bpf(int command, union bpf_attr *attr) { return syscall(SYS_bpf, command, attr, sizeof *attr); }

/* The types, numbered from 1 in this order. */
enum { INT = 1, TIMER, VALUE, PROTO, MAIN, CALLBACK, KEY };
#define STRINGS "\0u64\0bpf_timer\0value\0timer\0main\0callback\0u32"
enum { S_U64 = 1, S_BPF_TIMER = 5, S_VALUE = 15, S_TIMER = 21, S_MAIN = 27, S_CALLBACK = 32, S_U32 = 41 };
#define KIND(kind, members) ((BTF_KIND_##kind) << 24 | (members))

static const struct {
  struct btf_header header;
  struct {
    struct btf_type integer;
    uint32_t bits;
    struct btf_type timer;
    struct btf_type value;
    struct btf_member member;
    struct btf_type proto, main, callback;
    struct btf_type key;
    uint32_t key_bits;
  } types;
  char strings[sizeof STRINGS];
} btf = {
    .header = {.magic = BTF_MAGIC, .version = BTF_VERSION, .hdr_len = sizeof btf.header, .type_len = sizeof btf.types,
               .str_off = sizeof btf.types, .str_len = sizeof STRINGS},
    .types = {.integer = {S_U64, KIND(INT, 0), {8}},
              .bits = 64,
              .timer = {S_BPF_TIMER, KIND(STRUCT, 0), {sizeof(struct bpf_timer)}},
              .value = {S_VALUE, KIND(STRUCT, 1), {sizeof(struct value)}},
              .member = {S_TIMER, TIMER, 0},
              .proto = {0, KIND(FUNC_PROTO, 0), {INT}},
              .main = {S_MAIN, KIND(FUNC, BTF_FUNC_STATIC), {PROTO}},
              .callback = {S_CALLBACK, KIND(FUNC, BTF_FUNC_STATIC), {PROTO}},
              .key = {S_U32, KIND(INT, 0), {4}},
              .key_bits = 32},
    .strings = STRINGS,
};

#define I(c, d, s, o, i) {.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)}
#define MOV(d, s) I(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOVI(d, i) I(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ADDI(d, i) I(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define LOAD(d, s, o) I(BPF_LDX | BPF_MEM | BPF_DW, d, s, o, 0)
#define STORE(d, o, s) I(BPF_STX | BPF_MEM | BPF_DW, d, s, o, 0)
#define WIDE(d, kind, i) I(BPF_LD | BPF_IMM | BPF_DW, d, kind, 0, i), I(0, 0, 0, 0, 0)
#define CALL(f) I(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define EXIT I(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define AT(field) offsetof(struct value, field)
#define PERIOD MOVI(2, PERIOD_NS), MOVI(3, 0)
#define CALLBACK_AT 25

static struct bpf_insn program[] = {
    /* 0: looks for the value, or leaves; */
    I(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0), MOV(2, 10), ADDI(2, -4), WIDE(1, BPF_PSEUDO_MAP_FD, 0),
    CALL(BPF_FUNC_map_lookup_elem), I(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 16, 0), MOV(7, 0),
    /* 8: makes its timer; */
    MOV(1, 7), WIDE(2, BPF_PSEUDO_MAP_FD, 0), MOVI(3, CLOCK_MONOTONIC), CALL(BPF_FUNC_timer_init),
    /* 13: names the callback, by its distance; */
    MOV(1, 7), WIDE(2, BPF_PSEUDO_FUNC, CALLBACK_AT - 14 - 1), CALL(BPF_FUNC_timer_set_callback),
    /* 17: arms it. */
    CALL(BPF_FUNC_ktime_get_ns), STORE(7, AT(armed), 0), MOV(1, 7), PERIOD, CALL(BPF_FUNC_timer_start),
    /* 23 */
    MOVI(0, 0), EXIT,
    /* 25: the callback has (map, key, value); after SAMPLES of them the timer stays off. */
    MOV(6, 3), CALL(BPF_FUNC_ktime_get_ns), MOV(8, 0), LOAD(9, 6, AT(count)),
    I(BPF_JMP | BPF_JGE | BPF_K, 9, 0, 16, SAMPLES),
    /* 30: late[count++] = now - (armed + period) */
    LOAD(1, 6, AT(armed)), ADDI(1, PERIOD_NS), I(BPF_ALU64 | BPF_SUB | BPF_X, 8, 1, 0, 0), MOV(1, 9),
    I(BPF_ALU64 | BPF_LSH | BPF_K, 1, 0, 0, 3), MOV(2, 6), I(BPF_ALU64 | BPF_ADD | BPF_X, 2, 1, 0, 0),
    STORE(2, AT(late), 8), ADDI(9, 1), STORE(6, AT(count), 9),
    /* 40: arms it again. */
    CALL(BPF_FUNC_ktime_get_ns), STORE(6, AT(armed), 0), MOV(1, 6), PERIOD, CALL(BPF_FUNC_timer_start),
    /* 46 */
    MOVI(0, 0), EXIT,
};

static char text[1 << 16];

static int load(int types, int map) {
  static const struct bpf_func_info functions[] = {{0, MAIN}, {CALLBACK_AT, CALLBACK}};
  program[3].imm = program[9].imm = map;
  union bpf_attr attr = {
      .prog_type = BPF_PROG_TYPE_SCHED_CLS,
      .insns = (uintptr_t)program,
      .insn_cnt = sizeof program / sizeof *program,
      .license = (uintptr_t) "Dual MIT/GPL",
      .prog_btf_fd = types,
      .func_info_rec_size = sizeof *functions,
      .func_info = (uintptr_t)functions,
      .func_info_cnt = 2,
      .log_buf = (uintptr_t)text,
      .log_size = sizeof text,
      .log_level = 1,
  };
  return bpf(BPF_PROG_LOAD, &attr);
}

/* Runs the program once; a packet of zeros is what this type of program wants to see. */
static int run_once(int fd) {
  static char packet[64];
  union bpf_attr attr = {
      .test = {.prog_fd = fd, .data_in = (uintptr_t)packet, .data_size_in = sizeof packet, .repeat = 1}};
  return bpf(BPF_PROG_TEST_RUN, &attr);
}

static int look(int map, struct value *value) {
  uint32_t key = 0;
  union bpf_attr attr = {.map_fd = map, .key = (uintptr_t)&key, .value = (uintptr_t)value};
  return bpf(BPF_MAP_LOOKUP_ELEM, &attr);
}

void bpf_timer_row(void) {
  static struct value value;
  double samples[SAMPLES];
  char why[160];
  const char *step = "loading types";
  union bpf_attr types = {.btf = (uintptr_t)&btf, .btf_size = offsetof(__typeof__(btf), strings) + sizeof STRINGS, .btf_log_buf = (uintptr_t)text,
                          .btf_log_size = sizeof text, .btf_log_level = 1};
  int map = -1, fd = -1, btf_fd = bpf(BPF_BTF_LOAD, &types);
  if (btf_fd >= 0) {
    step = "making the map";
    union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = sizeof value, .max_entries = 1,
                           .btf_fd = btf_fd, .btf_key_type_id = KEY, .btf_value_type_id = VALUE};
    map = bpf(BPF_MAP_CREATE, &attr);
  }
  if (map >= 0) {
    step = "loading the program";
    fd = load(btf_fd, map);
  }
  int failed = fd < 0;
  if (!failed) {
    step = "running it";
    failed = run_once(fd) < 0;
  }
  /* The processor is kept busy meanwhile, as in Axiom's measurement: an emulator that counts instructions wakes an idle one by
     the host's clock. Half more than the time that it takes. */
  for (uint64_t start = now(); !failed && now() - start < 15ull * PERIOD_NS * SAMPLES / 10;)
    ;
  failed = failed || look(map, &value) < 0;
  if (failed) {
    int last = errno;
    size_t end = strlen(text);
    snprintf(why, sizeof why, "%s: %s: %.100s", step, strerror(last), text + (end > 100 ? end - 100 : 0));
    for (char *c = why; *c; c++)
      if (*c == '\n' || *c == '"')
        *c = ' ';
    missed(NAME, why);
  } else if (value.count < SAMPLES) {
    missed(NAME, "the timer stopped early");
  } else {
    for (int i = 0; i < SAMPLES; i++)
      samples[i] = value.late[i];
    metric(NAME, "ns", samples, SAMPLES, 0);
  }
  if (fd >= 0)
    close(fd);
  if (map >= 0)
    close(map);
  if (btf_fd >= 0)
    close(btf_fd);
}
