#include "common.h"
SEC("iio/sim/x") u64 f(struct iio_event *e)
{
	GET(s);
	const char *a = (char *)s->word;
	u32 n = 0;
#pragma clang loop unroll(disable)
	while (n < 64 && a[n])
		n++;
	return n;
}
