/* The filter: drops what is out of range, passes the event to a ring buffer. */
#include "common.h"
struct {
	__uint(type, 27);
	__uint(max_entries, 4096);
} events SEC(".maps");
SEC("iio/sim/x") u64 ring(struct iio_event *e)
{
	if (e->value < 100 || e->value > 900)
		return 0;
	struct iio_event *out = bpf_ringbuf_reserve(&events, sizeof(*out), 0);
	if (!out)
		return 1;
	out->timestamp = e->timestamp;
	out->device = e->device;
	out->channel = e->channel;
	out->value = e->value;
	out->scale = e->scale;
	out->offset = e->offset;
	bpf_ringbuf_submit(out, 0);
	return 1;
}
