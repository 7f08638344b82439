/* 16 map updates. */
#include "common.h"
struct {
	__uint(type, 1);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, u64);
} table SEC(".maps");
SEC("iio/sim/x") u64 updates(struct iio_event *e)
{
	s32 value = e->value;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < 16; i++) {
		u64 v = value + i;
		bpf_map_update_elem(&table, &i, &v, 0);
	}
	return 0;
}
