/* FNV-1a over 256 bytes. */
#include "common.h"
SEC("iio/sim/x") u64 fnv(struct iio_event *e)
{
	GET(s);
	const u8 *p = (const u8 *)s->word;
	u64 h = 0xcbf29ce484222325ull;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 256; i++)
		h = (h ^ p[i]) * 0x100000001b3ull;
	return h;
}
