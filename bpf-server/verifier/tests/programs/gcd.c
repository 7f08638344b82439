#include "common.h"
/* counted gcd */
SEC("iio/sim/x") u64 f(struct iio_event *e)
{
	u32 a = e->device, b = e->channel;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 50 && b; i++) { u32 t = a % b; a = b; b = t; }
	return a;
}
