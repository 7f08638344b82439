/* Functions of their own frames. */
#include "common.h"
static __attribute__((noinline)) u64 sum(const u8 *p, u32 n)
{
	u64 t = 0;
	if (n > 32)
		n = 32;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < n; i++)
		t += p[i];
	return t;
}
static __attribute__((noinline)) u64 both(const u8 *p, u32 n)
{
	return sum(p, n) + sum(p + 32, n / 2);
}
SEC("iio/sim/x") u64 calls(struct iio_event *e)
{
	u8 buffer[64] = {};
	buffer[3] = e->value;
	return both(buffer, e->channel);
}
