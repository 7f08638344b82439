#include "common.h"
SEC("iio/sim/x") u64 bad_loop(struct iio_event *e)
{
	GET(s);
	u64 n = 0;
	volatile s32 *w = s->word;
	while (*w != e->value)
		n++;
	return n;
}
