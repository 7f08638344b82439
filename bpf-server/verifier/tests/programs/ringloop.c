#include "common.h"
struct { __uint(type, 27); __uint(max_entries, 4096); } events SEC(".maps");
SEC("iio/sim/x") u64 f(struct iio_event *e)
{
	u64 sent = 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 8; i++) {
		u64 *r = bpf_ringbuf_reserve(&events, 16, 0);
		if (!r)
			break;
		r[0] = e->timestamp; r[1] = i;
		if (e->value == i) bpf_ringbuf_discard(r, 0); else { bpf_ringbuf_submit(r, 0); sent++; }
	}
	return sent;
}
