#include "common.h"
SEC("iio/sim/x") u64 f(struct iio_event *e)
{
	GET(s);
	s32 *a = s->word;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 15; i++)
#pragma clang loop unroll(disable)
		for (int j = 0; j < 15 - i; j++)
			if (a[j] > a[j + 1]) { s32 t = a[j]; a[j] = a[j + 1]; a[j + 1] = t; }
	return a[7];
}
