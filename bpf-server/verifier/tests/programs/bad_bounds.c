#include "common.h"
SEC("iio/sim/x") u64 bad_bounds(struct iio_event *e)
{
	GET(s);
	u32 i = e->channel;
	if (i > SCRATCH_WORDS)
		return 0;
	return s->word[i];
}
