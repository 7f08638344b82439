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

/* The kinds that load. A map per CPU has one value per key: this system has one CPU. */
enum {
  BPF_MAP_TYPE_HASH = 1,
  BPF_MAP_TYPE_ARRAY = 2,
  BPF_MAP_TYPE_PERCPU_HASH = 5,
  BPF_MAP_TYPE_PERCPU_ARRAY = 6,
  BPF_MAP_TYPE_LRU_HASH = 9, /* full: the entry used longest ago makes room */
  BPF_MAP_TYPE_QUEUE = 22,   /* no key; push, pop, peek: first in, first out */
  BPF_MAP_TYPE_STACK = 23,   /* the same, last in, first out */
  BPF_MAP_TYPE_RINGBUF = 27,
};

enum { BPF_F_NO_PREALLOC = 1 };
enum { BPF_ANY = 0, BPF_NOEXIST = 1, BPF_EXIST = 2 };

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, __u64 flags) = (void *)2;
static long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static __u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static long (*const bpf_trace_printk)(const char *format, __u32 size, ...) = (void *)6;
static __u32 (*const bpf_get_smp_processor_id)(void) = (void *)8;
/* Queues and stacks: 0, or -7 (E2BIG) full, unless BPF_EXIST lets the oldest value make room; -2 (ENOENT) empty, and the value is
 * zeros. */
static long (*const bpf_map_push_elem)(void *map, const void *value, __u64 flags) = (void *)87;
static long (*const bpf_map_pop_elem)(void *map, void *value) = (void *)88;
static long (*const bpf_map_peek_elem)(void *map, void *value) = (void *)89;
static long (*const bpf_ringbuf_output)(void *ring, void *data, __u64 size, __u64 flags) = (void *)130;
static void *(*const bpf_ringbuf_reserve)(void *ring, __u64 size, __u64 flags) = (void *)131;
static void (*const bpf_ringbuf_submit)(void *data, __u64 flags) = (void *)132;
static void (*const bpf_ringbuf_discard)(void *data, __u64 flags) = (void *)133;
static __u64 (*const bpf_ringbuf_query)(void *ring, __u64 flags) = (void *)134;

static long (*const bpf_trace_vprintk)(const char *format, __u32 size, const void *data, __u32 data_size) = (void *)177;

/* bpf_printk("x = %d\n", x): a line of the log behind the program's name; up to twelve numbers. %d %i %u %x %X %c %p with l, ll, h,
 * hh, flags and a width; a format with anything else is refused when the program is loaded. The server of lines and PWM channels
 * has no printk. */
#define bpf_printk(...) __bpf_printk_pick(__VA_ARGS__, __bpf_vprintk, __bpf_vprintk, __bpf_vprintk, __bpf_vprintk, \
  __bpf_vprintk, __bpf_vprintk, __bpf_vprintk, __bpf_vprintk, __bpf_vprintk, __bpf_printk, __bpf_printk, __bpf_printk, \
  __bpf_printk)(__VA_ARGS__)
#define __bpf_printk_pick(_f, _1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, which, ...) which
#define __bpf_printk(text, ...) ({ static const char __format[] = text; \
  bpf_trace_printk(__format, sizeof(__format), ##__VA_ARGS__); })
#define __bpf_vprintk(text, ...) ({ static const char __format[] = text; \
  const __u64 __numbers[] = {__bpf_numbers(__VA_ARGS__)}; \
  bpf_trace_vprintk(__format, sizeof(__format), __numbers, sizeof(__numbers)); })
#define __bpf_numbers(...) __bpf_numbers_pick(__VA_ARGS__, __n12, __n11, __n10, __n9, __n8, __n7, __n6, __n5, __n4)(__VA_ARGS__)
#define __bpf_numbers_pick(_1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, which, ...) which
#define __n1(x) (__u64)(x)
#define __n2(x, ...) (__u64)(x), __n1(__VA_ARGS__)
#define __n3(x, ...) (__u64)(x), __n2(__VA_ARGS__)
#define __n4(x, ...) (__u64)(x), __n3(__VA_ARGS__)
#define __n5(x, ...) (__u64)(x), __n4(__VA_ARGS__)
#define __n6(x, ...) (__u64)(x), __n5(__VA_ARGS__)
#define __n7(x, ...) (__u64)(x), __n6(__VA_ARGS__)
#define __n8(x, ...) (__u64)(x), __n7(__VA_ARGS__)
#define __n9(x, ...) (__u64)(x), __n8(__VA_ARGS__)
#define __n10(x, ...) (__u64)(x), __n9(__VA_ARGS__)
#define __n11(x, ...) (__u64)(x), __n10(__VA_ARGS__)
#define __n12(x, ...) (__u64)(x), __n11(__VA_ARGS__)

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
