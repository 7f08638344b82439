/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the test programs share: types, helpers by Linux's numbers, libbpf-style map declarations. */
#pragma once
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef long long s64;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define NULL ((void *)0)

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static u64 (*bpf_ktime_get_ns)(void) = (void *)5;
static long (*bpf_ringbuf_output)(void *map, void *data, u64 size, u64 flags) = (void *)130;
static void *(*bpf_ringbuf_reserve)(void *map, u64 size, u64 flags) = (void *)131;
static void (*bpf_ringbuf_submit)(void *data, u64 flags) = (void *)132;
static void (*bpf_ringbuf_discard)(void *data, u64 flags) = (void *)133;

struct iio_event {
	u64 timestamp;
	u32 device;
	u32 channel;
	s32 value;
	u32 scale;
	u32 offset;
};

#define SCRATCH_WORDS 512
struct scratch { s32 word[SCRATCH_WORDS]; };
struct {
	__uint(type, 2);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} scratch SEC(".maps");

#define GET(var)                                              \
	u32 zero_ = 0;                                        \
	struct scratch *var = bpf_map_lookup_elem(&scratch, &zero_); \
	if (!var) return 0
