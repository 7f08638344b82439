#include "common.h"
SEC("iio/sim/x") u64 bad_null(struct iio_event *e)
{
	u32 zero = 0;
	struct scratch *s = bpf_map_lookup_elem(&scratch, &zero);
	return s->word[0];
}
