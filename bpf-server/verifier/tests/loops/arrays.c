/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Everyday loops over memory, as people write them: each must be accepted at every optimisation level (`just everyday-loops`).
 */
#include "axiom_bpf.h"

#define PROGRAM(name) SEC("iio/chip/channel") int name(struct iio_event *e)
typedef __u8 u8;
typedef __u32 u32;
typedef __s32 s32;
typedef __s64 s64;

#define N 32
struct window {
  s32 v[N];
  u32 next;
  char text[16];
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, u32);
  __type(value, struct window);
} state SEC(".maps");

#define GET(w)                                                \
  u32 zero = 0;                                               \
  struct window *w = bpf_map_lookup_elem(&state, &zero);      \
  if (!w)                                                     \
  return IIO_ACCEPT

static const s32 taps[16] = {3, -9, 11, 20, -31, 40, 77, 90, 90, 77, 40, -31, 20, 11, -9, 3};

PROGRAM(sum) {
  GET(w);
  s32 sum = 0;
  for (int k = 0; k < N; k++)
    sum += w->v[k];
  return sum;
}

PROGRAM(sum_of_some) {
  GET(w);
  s32 sum = 0;
  u32 n = e->scale < N ? e->scale : N;
  for (u32 k = 0; k < n; k++)
    sum += w->v[k];
  return sum;
}

PROGRAM(sum_by_pointer) {
  GET(w);
  s32 sum = 0;
  for (s32 *p = w->v; p != w->v + N; p++)
    sum += *p;
  return sum;
}

PROGRAM(greatest) {
  GET(w);
  s32 most = w->v[0];
  for (int k = 1; k < N; k++)
    if (w->v[k] > most)
      most = w->v[k];
  return most;
}

PROGRAM(first_that_is_over) {
  GET(w);
  int k;
  for (k = 0; k < N; k++)
    if (w->v[k] > e->value)
      break;
  return k < N ? w->v[k] : 0;
}

PROGRAM(shift_along) {
  GET(w);
  for (int k = N - 1; k > 0; k--)
    w->v[k] = w->v[k - 1];
  w->v[0] = e->value;
  return IIO_ACCEPT;
}

PROGRAM(reverse_in_place) {
  GET(w);
  for (int i = 0, j = N - 1; i < j; i++, j--) {
    s32 t = w->v[i];
    w->v[i] = w->v[j];
    w->v[j] = t;
  }
  return IIO_ACCEPT;
}

PROGRAM(ring_of_samples) {
  GET(w);
  s64 sum = 0;
  u32 at = w->next;
  for (int k = 0; k < N; k++) {
    at = (at + N - 1) % N;
    sum += w->v[at];
  }
  w->next = (w->next + 1) % N;
  return sum / N;
}

PROGRAM(fir) {
  GET(w);
  s64 sum = 0;
  for (int k = 0; k < 16; k++)
    sum += (s64)w->v[k] * taps[k];
  return sum >> 8;
}

PROGRAM(bubble_sort) {
  s32 v[8];
  GET(w);
  for (int k = 0; k < 8; k++)
    v[k] = w->v[k];
  for (int i = 0; i < 7; i++)
    for (int j = 0; j < 7 - i; j++)
      if (v[j] > v[j + 1]) {
        s32 t = v[j];
        v[j] = v[j + 1];
        v[j + 1] = t;
      }
  return v[4];
}

PROGRAM(binary_search_with_a_bound) {
  GET(w);
  u32 low = 0, high = N;
  for (int k = 0; k < 6 && low < high; k++) {
    u32 middle = low + (high - low) / 2;
    if (middle >= N)
      break;
    if (w->v[middle] < e->value)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

PROGRAM(histogram) {
  u8 bins[16] = {};
  GET(w);
  for (int k = 0; k < N; k++)
    bins[w->v[k] & 15]++;
  return bins[e->value & 15];
}

PROGRAM(length_of_a_text) {
  GET(w);
  int n = 0;
  while (n < 16 && w->text[n])
    n++;
  return n;
}

PROGRAM(matrix_by_vector) {
  GET(w);
  s32 out = 0;
  for (int row = 0; row < 4; row++) {
    s32 sum = 0;
    for (int column = 0; column < 4; column++)
      sum += w->v[row * 4 + column] * w->v[16 + column];
    out ^= sum;
  }
  return out;
}

PROGRAM(every_other) {
  GET(w);
  s32 sum = 0;
  for (u32 k = 0; k < N; k += 2)
    sum += w->v[k] - w->v[k + 1];
  return sum;
}

PROGRAM(number_to_text) {
  GET(w);
  char text[12];
  u32 x = e->value;
  int n = 0;
  do {
    text[n++] = '0' + x % 10;
    x /= 10;
  } while (x && n < 10);
  for (int k = 0; k < n && k < 10; k++)
    w->text[k] = text[n - 1 - k < 11 ? (n - 1 - k) & 15 : 0];
  return n;
}

PROGRAM(checksum) {
  GET(w);
  u32 sum = 0;
  const u8 *bytes = (const u8 *)w->v;
  for (u32 k = 0; k < sizeof(w->v); k++)
    sum = sum * 31 + bytes[k];
  return sum;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
