/* The 1000th Fibonacci number modulo 2^64. */
#include "common.h"
SEC("iio/sim/x") u64 fib(struct iio_event *e)
{
	u64 a = 0, b = 1;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 1000; i++) {
		u64 t = a + b;
		a = b;
		b = t;
	}
	return a;
}
