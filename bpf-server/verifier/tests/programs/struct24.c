/* A stride that is no power of two. */
#include "common.h"
struct item { u64 a, b, c; };
SEC("iio/sim/x") u64 struct24(struct iio_event *e)
{
	GET(s);
	struct item *it = (struct item *)s->word;
	u64 sum = 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 20; i++)
		sum += it[i].a ^ it[i].c;
	return sum;
}
