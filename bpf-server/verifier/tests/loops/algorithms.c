/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Four algorithms in a map's value, beside the everyday loops: written so that each access has its index in sight.
 */
#include "axiom_bpf.h"

#define PROGRAM(name) SEC("iio/chip/channel") int name(struct iio_event *e)
typedef __u8 u8;
typedef __u32 u32;
typedef __s32 s32;

#define N 16
struct work {
  char text[16]; /* first: two indices that approach each other are compared as distances from the value's start */
  s32 re[N], im[N];
  u8 in[32], out[64];
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, u32);
  __type(value, struct work);
} state SEC(".maps");

#define GET(w)                                              \
  u32 zero = 0;                                             \
  struct work *w = bpf_map_lookup_elem(&state, &zero);      \
  if (!w)                                                   \
  return IIO_ACCEPT

static const short cosine[8] = {256, 237, 181, 98, 0, -98, -181, -237};

PROGRAM(insertion_sort) {
  GET(w);
  for (u32 i = 1; i < N; i++) {
    s32 x = w->re[i];
    u32 j;
    for (j = i; j > 0 && j < N; j--) {
      if (w->re[j - 1] <= x)
        break;
      w->re[j] = w->re[j - 1];
    }
    if (j < N)
      w->re[j] = x;
  }
  return w->re[0];
}

PROGRAM(number_to_text_in_place) {
  GET(w);
  u32 x = e->value;
  int n = 0;
  do {
    w->text[n++] = '0' + x % 10;
    x /= 10;
  } while (x && n < 10);
  for (int i = 0, j = n - 1; i < j; i++, j--) {
    char c = w->text[i];
    w->text[i] = w->text[j];
    w->text[j] = c;
  }
  return n;
}

PROGRAM(fft_butterflies) {
  GET(w);
  for (int stage = 0; stage < 4; stage++)
    for (u32 n = 0; n < N / 2; n++) {
      u32 half = 1u << stage, j = n & (half - 1), p = ((n >> stage) << (stage + 1)) + j, q = p + half;
      p &= N - 1;
      q &= N - 1;
      s32 t = cosine[(j << (3 - stage)) & 7];
      s32 a = w->re[q] * t >> 8, b = w->im[q] * t >> 8;
      w->re[q] = w->re[p] - a;
      w->im[q] = w->im[p] - b;
      w->re[p] += a;
      w->im[p] += b;
    }
  return w->re[0];
}

PROGRAM(run_lengths) {
  GET(w);
  u32 o = 0, n = 1;
  for (u32 i = 1; i < sizeof(w->in); i++) {
    if (w->in[i] == w->in[i - 1]) {
      n++;
      continue;
    }
    if (o > sizeof(w->out) - 2)
      break;
    w->out[o] = n;
    w->out[o + 1] = w->in[i - 1];
    o += 2;
    n = 1;
  }
  return o;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
