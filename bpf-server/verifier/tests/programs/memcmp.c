#include "common.h"
SEC("iio/sim/x") u64 f(struct iio_event *e)
{
	GET(s);
	const u8 *a = (u8 *)s->word, *b = a + 100;
	int i;
#pragma clang loop unroll(disable)
	for (i = 0; i < 100; i++)
		if (a[i] != b[i])
			break;
	return i == 100;
}
