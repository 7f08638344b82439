/* Primes below 256. */
#include "common.h"
SEC("iio/sim/x") u64 sieve(struct iio_event *e)
{
	u8 composite[256] = {};
	u32 count = 0;
#pragma clang loop unroll(disable)
	for (u32 i = 2; i < 256; i++) {
		if (composite[i])
			continue;
		count++;
#pragma clang loop unroll(disable)
		for (u32 j = i * i; j < 256; j += i)
			composite[j] = 1;
	}
	return count;
}
