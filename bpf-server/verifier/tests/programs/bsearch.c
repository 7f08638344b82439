/* Binary search with a counted loop. */
#include "common.h"
SEC("iio/sim/x") u64 bsearch(struct iio_event *e)
{
	GET(s);
	u32 lo = 0, hi = 256;
#pragma clang loop unroll(disable)
	for (int k = 0; k < 9 && lo < hi; k++) {
		u32 mid = (lo + hi) / 2;
		if (mid >= 256)
			return 0;
		if (s->word[mid] < e->value)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}
