#include "common.h"
/* stack array filled by a loop and read by another */
SEC("iio/sim/x") u64 f(struct iio_event *e)
{
	GET(s);
	volatile s32 a[24];
#pragma clang loop unroll(disable)
	for (int i = 0; i < 24; i++)
		a[i] = s->word[i] * 3;
	u64 t = 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 24; i++)
		t += a[23 - i];
	return t;
}
