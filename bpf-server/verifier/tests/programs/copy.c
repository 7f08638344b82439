/* Copies 256 bytes, one at a time. */
#include "common.h"
SEC("iio/sim/x") u64 copy(struct iio_event *e)
{
	GET(s);
	volatile u8 *from = (volatile u8 *)s->word, *to = from + 256;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 256; i++)
		to[i] = from[i];
	return to[7];
}
