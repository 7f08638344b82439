/* Median of 16 samples by insertion sort on the stack. */
#include "common.h"
SEC("iio/sim/x") u64 median(struct iio_event *e)
{
	GET(s);
	s32 a[16];
#pragma clang loop unroll(disable)
	for (int i = 0; i < 16; i++)
		a[i] = s->word[i];
#pragma clang loop unroll(disable)
	for (int i = 1; i < 16; i++) {
		s32 v = a[i];
		int j = i;
#pragma clang loop unroll(disable)
		while (j > 0 && a[j - 1] > v) {
			a[j] = a[j - 1];
			j--;
		}
		a[j] = v;
	}
	return a[8];
}
