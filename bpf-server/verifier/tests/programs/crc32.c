/* CRC-32, bit by bit, over 64 bytes. */
#include "common.h"
SEC("iio/sim/x") u64 crc32(struct iio_event *e)
{
	GET(s);
	const u8 *p = (const u8 *)s->word;
	u32 crc = 0xffffffff;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 64; i++) {
		crc ^= p[i];
#pragma clang loop unroll(disable)
		for (int k = 0; k < 8; k++)
			crc = crc & 1 ? (crc >> 1) ^ 0xedb88320 : crc >> 1;
	}
	return ~crc;
}
