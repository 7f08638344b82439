/* A loop tested at its top, with a break, over two arrays; its bound is a number of the map. */
#include "common.h"
SEC("iio/sim/x") u64 topdown(struct iio_event *e)
{
	GET(s);
	u32 n = s->word[0];
	if (n > 100)
		n = 100;
	u64 sum = 0;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < n; i++) {
		if (s->word[1 + i] < 0)
			break;
		sum += s->word[1 + i] * s->word[128 + i];
	}
	return sum;
}
