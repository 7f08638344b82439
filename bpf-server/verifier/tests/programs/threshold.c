/* Drops what is out of range, with hysteresis. */
#include "common.h"
SEC("iio/sim/x") u64 threshold(struct iio_event *e)
{
	GET(s);
	if (s->word[0])
		s->word[0] = e->value > 400;
	else
		s->word[0] = e->value > 600;
	return s->word[0] != 0;
}
