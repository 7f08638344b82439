/* Moving average of the last 32 samples: index in the map. */
#include "common.h"
SEC("iio/sim/x") u64 average(struct iio_event *e)
{
	GET(s);
	u32 i = s->word[0];
	if (i >= 32)
		i = 0;
	s->word[1] += e->value - s->word[2 + i];
	s->word[2 + i] = e->value;
	s->word[0] = i + 1;
	return s->word[1] / 32 > 100;
}
