#include "common.h"
SEC("iio/sim/x") u64 f(struct iio_event *e)
{
	GET(s);
	u8 *c = (u8 *)s->word;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < 256; i++) c[i] = 0;
#pragma clang loop unroll(disable)
	for (u32 i = 2; i * i < 256; i++)
		if (!c[i])
#pragma clang loop unroll(disable)
			for (u32 j = i * i; j < 256; j += i) c[j] = 1;
	u32 n = 0;
#pragma clang loop unroll(disable)
	for (u32 i = 2; i < 256; i++) n += !c[i];
	return n;
}
