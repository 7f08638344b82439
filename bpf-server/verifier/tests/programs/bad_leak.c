#include "common.h"
struct {
	__uint(type, 27);
	__uint(max_entries, 4096);
} events SEC(".maps");
SEC("iio/sim/x") u64 bad_leak(struct iio_event *e)
{
	u64 *out = bpf_ringbuf_reserve(&events, 8, 0);
	if (!out)
		return 1;
	*out = e->timestamp;
	if (e->value < 0)
		return 0;
	bpf_ringbuf_submit(out, 0);
	return 1;
}
