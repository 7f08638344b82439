#include "common.h"
SEC("iio/sim/x") u64 bad_uninit(struct iio_event *e)
{
	volatile u64 x[4];
	if (e->value > 5)
		x[0] = 1;
	return x[0];
}
