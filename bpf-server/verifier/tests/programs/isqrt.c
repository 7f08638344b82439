/* Integer square roots of 8 samples, bit by bit. */
#include "common.h"
static __attribute__((always_inline)) u32 root(u32 x)
{
	u32 r = 0, bit = 1u << 30;
#pragma clang loop unroll(disable)
	while (bit > x)
		bit >>= 2;
#pragma clang loop unroll(disable)
	while (bit) {
		if (x >= r + bit) {
			x -= r + bit;
			r = (r >> 1) + bit;
		} else {
			r >>= 1;
		}
		bit >>= 2;
	}
	return r;
}
SEC("iio/sim/x") u64 isqrt(struct iio_event *e)
{
	GET(s);
	u64 sum = 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 8; i++)
		sum += root(s->word[i]);
	return sum;
}
