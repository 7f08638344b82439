/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Everyday loops over numbers, as people write them: each must be accepted at every optimisation level (`just everyday-loops`).
 */
#include "axiom_bpf.h"

#define PROGRAM(name) SEC("iio/chip/channel") int name(struct iio_event *e)
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;

/* Counts the ones, bit by bit. */
PROGRAM(popcount) {
  u32 x = e->value, n = 0;
  while (x) {
    n += x & 1;
    x >>= 1;
  }
  return n & 1;
}

/* Clears the lowest one each time: at most 32 passes by a counter. */
PROGRAM(kernighan) {
  u32 x = e->value, n = 0;
  for (int k = 0; k < 32 && x; k++) {
    x &= x - 1;
    n++;
  }
  return n & 1;
}

PROGRAM(leading_zeros) {
  u32 x = e->value;
  int n = 32;
  while (x) {
    x >>= 1;
    n--;
  }
  return n;
}

PROGRAM(log2_of_64_bits) {
  u64 x = e->timestamp;
  int n = 0;
  while (x > 1) {
    x >>= 1;
    n++;
  }
  return n;
}

PROGRAM(bit_reverse) {
  u32 x = e->value, r = 0;
  for (int k = 0; k < 32; k++) {
    r = r << 1 | (x & 1);
    x >>= 1;
  }
  return r;
}

PROGRAM(parity_by_halves) {
  u32 x = e->value;
  for (u32 by = 16; by; by >>= 1)
    x ^= x >> by;
  return x & 1;
}

PROGRAM(gcd_with_a_bound) {
  u32 a = e->value, b = e->scale;
  for (int k = 0; k < 48 && b; k++) {
    u32 t = a % b;
    a = b;
    b = t;
  }
  return a;
}

PROGRAM(integer_root) {
  u32 x = e->value, root = 0;
  for (u32 bit = 1u << 15; bit; bit >>= 1)
    if ((root | bit) * (root | bit) <= x)
      root |= bit;
  return root;
}

PROGRAM(root_by_pairs_of_bits) {
  u32 x = e->value, r = 0;
  for (u32 bit = 1u << 30; bit; bit >>= 2) {
    if (x >= r + bit) {
      x -= r + bit;
      r = (r >> 1) + bit;
    } else {
      r >>= 1;
    }
  }
  return r;
}

PROGRAM(power_by_squaring) {
  u32 base = e->value, n = e->scale, r = 1;
  while (n) {
    if (n & 1)
      r *= base;
    base *= base;
    n >>= 1;
  }
  return r;
}

PROGRAM(fibonacci) {
  u32 a = 0, b = 1;
  for (u32 k = 0; k < (e->scale & 31); k++) {
    u32 t = a + b;
    a = b;
    b = t;
  }
  return a;
}

PROGRAM(factorial_down) {
  u64 r = 1;
  for (int n = e->value & 15; n > 1; n--)
    r *= n;
  return r;
}

PROGRAM(collatz_with_a_bound) {
  u32 x = e->value, n = 0;
  while (x != 1 && n < 100) {
    x = x & 1 ? 3 * x + 1 : x / 2;
    n++;
  }
  return n;
}

PROGRAM(digits) {
  u32 x = e->value, n = 0;
  do {
    n++;
    x /= 10;
  } while (x);
  return n;
}

PROGRAM(digit_sum) {
  u32 x = e->value, sum = 0;
  while (x) {
    sum += x % 10;
    x /= 10;
  }
  return sum;
}

PROGRAM(xorshift) {
  u64 x = e->timestamp | 1;
  for (int k = 0; k < 16; k++) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
  }
  return x;
}

PROGRAM(crc8_of_a_word) {
  u32 x = e->value;
  u8 crc = 0xff;
  for (int byte = 0; byte < 4; byte++) {
    crc ^= x >> (8 * byte);
    for (int bit = 0; bit < 8; bit++)
      crc = crc & 0x80 ? crc << 1 ^ 0x31 : crc << 1;
  }
  return crc;
}

PROGRAM(crc32_of_a_word) {
  u32 x = e->value, crc = ~0u;
  for (int k = 0; k < 32; k++) {
    u32 mix = (crc ^ x) & 1;
    crc >>= 1;
    x >>= 1;
    if (mix)
      crc ^= 0xedb88320;
  }
  return ~crc;
}

/* A counter on the stack that the compiler may not keep in a register. */
PROGRAM(volatile_counter) {
  u32 sum = 0;
  for (volatile int k = 0; k < 10; k++)
    sum += e->value;
  return sum;
}

static __noinline u32 mixed(u32 x) { return x * 2654435761u >> 7; }

/* And one in a loop that calls an own function. */
PROGRAM(volatile_counter_and_a_call) {
  u32 sum = 0;
  for (volatile int k = 0; k < 10; k++)
    sum += mixed(e->value + k);
  return sum;
}

PROGRAM(call_in_a_loop) {
  u32 sum = 0;
  for (u32 k = 0; k < 20; k++)
    sum = mixed(sum + k);
  return sum;
}

/* A step chosen by a condition. */
PROGRAM(step_by_a_condition) {
  u32 n = 0;
  for (u32 k = 0; k < 64;) {
    k += e->value & (1 << (k & 31)) ? 1 : 3;
    n++;
  }
  return n;
}

/* A step before the counter is used. */
PROGRAM(step_before_counter) {
  u32 x = 0, sum = 0;
  for (u32 k = 0; k < 12; k++) {
    x = k;
    x += 3;
    sum += x * e->scale;
  }
  return sum;
}

PROGRAM(growing_steps) {
  u32 n = 0;
  for (u32 j = 0, step = 1; j < 400; j += step, step += 2)
    n++;
  return n;
}

PROGRAM(doubling) {
  u32 n = 0;
  for (u32 k = 1; k < 1u << 20; k <<= 1)
    n += (e->value & k) != 0;
  return n;
}

/* A wait: gives up when the clock says so, or after so many looks. */
PROGRAM(bounded_wait) {
  u64 end = e->timestamp + 1000;
  int looks = 0;
  while (bpf_ktime_get_ns() < end)
    if (++looks == 50)
      return IIO_DROP;
  return IIO_ACCEPT;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
