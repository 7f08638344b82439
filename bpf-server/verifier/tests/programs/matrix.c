/* Three nested loops: 6 x 6 matrices. */
#include "common.h"
SEC("iio/sim/x") u64 matrix(struct iio_event *e)
{
	GET(s);
	s32 *a = s->word, *b = s->word + 36, *c = s->word + 72;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 6; i++)
#pragma clang loop unroll(disable)
		for (int j = 0; j < 6; j++) {
			s32 sum = 0;
#pragma clang loop unroll(disable)
			for (int k = 0; k < 6; k++)
				sum += a[i * 6 + k] * b[k * 6 + j];
			c[i * 6 + j] = sum;
		}
	return c[0];
}
