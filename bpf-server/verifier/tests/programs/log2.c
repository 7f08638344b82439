#include "common.h"
SEC("iio/sim/x") u64 f(struct iio_event *e)
{
	u64 v = e->timestamp; u32 n = 0;
#pragma clang loop unroll(disable)
	while (v > 1) { v >>= 1; n++; }
	return n;
}
