#include "common.h"
/* time bounded wait: must be refused */
SEC("iio/sim/x") u64 f(struct iio_event *e)
{
	u64 t = bpf_ktime_get_ns();
	while (bpf_ktime_get_ns() - t < 1000) ;
	return 0;
}
