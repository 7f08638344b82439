/* 64-tap FIR over the samples in a map. */
#include "common.h"
SEC("iio/sim/x") u64 fir(struct iio_event *e)
{
	GET(s);
	s64 sum = 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 64; i++)
		sum += (s64)s->word[i] * s->word[64 + i];
	return (u64)(sum >> 16);
}
