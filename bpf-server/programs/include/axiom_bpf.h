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

#endif
