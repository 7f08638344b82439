/* SPDX-License-Identifier: MIT OR Apache-2.0
 * What a BPF program for Axiom includes: integer types, section and map macros in libbpf's style, helpers by
 * Linux's numbers, and the contexts of the attach points. Self-contained: clang -target bpf needs nothing else.
 */
#ifndef AXIOM_BPF_H
#define AXIOM_BPF_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;

#define SEC(name) __attribute__((section(name), used))
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))

/* Map declarations: struct { __uint(type, BPF_MAP_TYPE_HASH); __type(key, __u32); ... } name SEC(".maps"); */
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name

enum {
  BPF_MAP_TYPE_HASH = 1,
  BPF_MAP_TYPE_ARRAY = 2,
  BPF_MAP_TYPE_PERCPU_ARRAY = 6,
  BPF_MAP_TYPE_LRU_HASH = 9,
  BPF_MAP_TYPE_QUEUE = 22,
  BPF_MAP_TYPE_STACK = 23,
  BPF_MAP_TYPE_RINGBUF = 27,
};

enum { BPF_ANY = 0, BPF_NOEXIST = 1, BPF_EXIST = 2 };

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, __u64 flags) = (void *)2;
static long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static __u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static long (*const bpf_trace_printk)(const char *format, __u32 size, ...) = (void *)6;
static __u32 (*const bpf_get_smp_processor_id)(void) = (void *)8;
static long (*const bpf_ringbuf_output)(void *ring, void *data, __u64 size, __u64 flags) = (void *)130;
static void *(*const bpf_ringbuf_reserve)(void *ring, __u64 size, __u64 flags) = (void *)131;
static void (*const bpf_ringbuf_submit)(void *data, __u64 flags) = (void *)132;
static void (*const bpf_ringbuf_discard)(void *data, __u64 flags) = (void *)133;
static __u64 (*const bpf_ringbuf_query)(void *ring, __u64 flags) = (void *)134;

/* Axiom's own, for programs on lines and PWM channels. Chips have numbers: their places in the manifest's gpio_chips and
 * pwm_chips. Results: a level or 0, else -1 (EPERM) what the manifest does not grant, -6 (ENXIO) no such line,
 * -16 (EBUSY) taken by a PWM channel made in software, or a duty asked for while programs decide on one,
 * -22 (EINVAL) a duty over 65535, -125 (ECANCELED) held by the emergency stop. */
static long (*const bpf_gpio_get)(__u32 chip, __u32 line) = (void *)0x10000;
static long (*const bpf_gpio_set)(__u32 chip, __u32 line, __u32 level) = (void *)0x10001;
/* 0 is applied at once; what is more, when the program has ended and the programs on that channel have agreed. */
static long (*const bpf_pwm_set)(__u32 chip, __u32 channel, __u32 duty) = (void *)0x10002;
/* Stops all motors of the manifest and holds them until somebody with the right to it rearms them. */
static long (*const bpf_motor_emergency_stop)(void) = (void *)0x10003;

/* SEC("iio/<device>/<channel>"): one sample. The program returns IIO_ACCEPT or IIO_DROP. */
struct iio_event {
  __u64 timestamp; /* nanoseconds since boot */
  __u32 device;
  __u32 channel;
  __s32 value; /* raw, as the chip gave it */
  __u32 scale; /* nano-units per raw step */
  __s32 offset; /* raw steps */
};
/* The event without the padding at its end: what goes into a record. */
#define IIO_EVENT_SIZE 28

enum { IIO_DROP = 0, IIO_ACCEPT = 1 };

/* SEC("timer/<n>hz"): one expiry. */
struct timer_event {
  __u64 now;         /* nanoseconds since boot, when the server saw the expiry */
  __u64 expirations; /* since the last call; more than 1 means that some were missed */
  __u64 deadline;    /* nanoseconds since boot, when it was due */
};

/* SEC("gpio/<chip>/<line>/<rising|falling|both>"): one edge. The result does not matter. */
struct gpio_event {
  __u64 timestamp; /* nanoseconds since boot, when the server saw it */
  __u32 chip;
  __u32 line;
  __u32 edge;  /* GPIO_RISING or GPIO_FALLING */
  __u32 level; /* after the edge: 1 or 0 */
};

enum { GPIO_RISING = 1, GPIO_FALLING = 2 };

/* SEC("pwm/<chip>/<channel>"): a duty that somebody asked for, before it is applied. The program returns the most that it
 * allows; what is applied is the smallest of the request and all programs' results. Switching off (duty 0) asks nobody. */
struct pwm_event {
  __u64 timestamp; /* nanoseconds since boot */
  __u32 chip;
  __u32 channel;
  __u32 requested; /* 1 to 65535: the share of the period that the output is on */
  __u32 current;
};

#endif
