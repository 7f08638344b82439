#include "common.h"
SEC("iio/sim/x") u64 f(struct iio_event *e)
{
	GET(s);
	u64 t = 0;
#pragma clang loop unroll(disable)
	for (int i = 63; i >= 0; i--)
		t = t * 31 + s->word[i];
	return t;
}
