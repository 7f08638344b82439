#include "common.h"
/* n from data, != form */
SEC("iio/sim/x") u64 f(struct iio_event *e)
{
	GET(s);
	u32 n = e->channel & 63;
	u64 t = 0;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i != n; i++)
		t += s->word[i];
	return t;
}
