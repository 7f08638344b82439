/* Biquad filter, one sample per event, state in a map. */
#include "common.h"
SEC("iio/sim/x") u64 biquad(struct iio_event *e)
{
	GET(s);
	s64 x = e->value;
	s32 *w = s->word;
	s64 y = 1024 * x + 2048 * (s64)w[0] + 1024 * (s64)w[1] + 3000 * (s64)w[2] - 1000 * (s64)w[3];
	y >>= 14;
	w[1] = w[0];
	w[0] = (s32)x;
	w[3] = w[2];
	w[2] = (s32)y;
	return (u64)y;
}
