// The twelve kinds of programs that the compiler's speed is measured with, for this machine and for BPF from one source. Each is one
// function in a section of its own that gets a memory of 4 KiB: input from 0, a place to work from 1024, constants from 2048. Whatever it
// changes of its input it sets up again, so that each run does the same.
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;
typedef int s32;

#define SAMPLE(name) __attribute__((section("sample_" #name), used)) u64 name(u8 *memory)
// Loops stay loops: not unrolled by one compiler and kept by the other.
#define LOOP _Pragma("clang loop unroll(disable)")

#ifdef __bpf__
static long (*map_update)(u64 map, u64 key, u64 value, u64 flags, u64 unused) = (void *)2;
#else
u64 (*samples_helper)(void *runtime, u64 map, u64 key, u64 value, u64 flags, u64 unused);
#define map_update(a, b, c, d, e) samples_helper((void *)0, a, b, c, d, e)
#endif

SAMPLE(fir) {  // 64 taps
  s32 *x = (s32 *)memory, *h = (s32 *)(memory + 2048);
  s64 sum = 0;
  LOOP for (u32 i = 0; i < 64; i++) sum += (s64)x[i] * h[i];
  return sum;
}

SAMPLE(fnv) {  // FNV-1a over 256 bytes
  u64 hash = 0xcbf29ce484222325ull;
  LOOP for (u32 i = 0; i < 256; i++) hash = (hash ^ memory[i]) * 0x100000001b3ull;
  return hash;
}

SAMPLE(crc) {  // CRC-32 bit by bit over 64 bytes
  u32 crc = ~0u;
  LOOP for (u32 i = 0; i < 64; i++) {
    crc ^= memory[i];
    LOOP for (u32 b = 0; b < 8; b++) crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
  }
  return ~crc;
}

SAMPLE(median) {  // of 16, by insertion
  u32 *from = (u32 *)memory, *v = (u32 *)(memory + 1024);
  LOOP for (u32 i = 0; i < 16; i++) {
    u32 x = from[i], j = i;
    LOOP while (j > 0 && v[j - 1] > x) {
      v[j] = v[j - 1];
      j--;
    }
    v[j] = x;
  }
  return v[8];
}

SAMPLE(sieve) {  // of 256
  u8 *composite = memory + 1024;
  u64 primes = 0;
  LOOP for (u32 i = 0; i < 256; i++) composite[i] = 0;
  LOOP for (u32 i = 2; i < 256; i++) {
    if (composite[i]) continue;
    primes++;
    LOOP for (u32 j = i * 2; j < 256; j += i) composite[j] = 1;
  }
  return primes;
}

SAMPLE(biquad) {  // 64 samples
  s32 *x = (s32 *)memory;
  s64 z1 = 0, z2 = 0, y = 0;
  LOOP for (u32 i = 0; i < 64; i++) {
    s64 in = x[i] >> 12;
    y = (in * 1638 + z1) >> 14;
    z1 = in * 3277 - y * -29870 + z2;
    z2 = in * 1638 - y * 13654;
  }
  return y;
}

SAMPLE(average) {  // moving, over 16 of 128
  u32 *x = (u32 *)memory, *out = (u32 *)(memory + 1024);
  u64 sum = 0;
  LOOP for (u32 i = 0; i < 128; i++) {
    sum += x[i];
    if (i >= 16) sum -= x[i - 16];
    out[i] = sum / 16;
  }
  return sum;
}

SAMPLE(threshold) {  // with hysteresis, 64 samples
  s32 *x = (s32 *)memory;
  u64 on = 0, changes = 0;
  LOOP for (u32 i = 0; i < 64; i++) {
    s32 v = x[i];
    if (on && v < -100000000) {
      on = 0;
      changes++;
    } else if (!on && v > 100000000) {
      on = 1;
      changes++;
    }
  }
  return changes;
}

SAMPLE(copy) {  // 256 bytes, one by one
  LOOP for (u32 i = 0; i < 256; i++) memory[1024 + i] = memory[i];
  return memory[1279];
}

SAMPLE(fib) {  // of 1000, modulo 2^64
  u64 a = 0, b = 1;
  LOOP for (u32 i = 0; i < 1000; i++) {
    u64 c = a + b;
    a = b;
    b = c;
    __asm__ volatile("" : "+r"(a), "+r"(b));
  }
  return a;
}

SAMPLE(isqrt) {  // of eight numbers
  u32 *x = (u32 *)memory;
  u64 sum = 0;
  LOOP for (u32 i = 0; i < 8; i++) {
    u32 v = x[i], root = 0;
    LOOP for (u32 bit = 1u << 30; bit != 0; bit >>= 2) {
      if (v >= root + bit) {
        v -= root + bit;
        root = (root >> 1) + bit;
      } else {
        root >>= 1;
      }
    }
    sum += root;
  }
  return sum;
}

SAMPLE(updates) {  // sixteen calls of a helper
  u32 *x = (u32 *)memory;
  u64 table = *(u64 *)(memory + 2048), sum = 0;
  LOOP for (u32 i = 0; i < 16; i++) sum += map_update(table, x[i] & 63, sum + i, 0, 0);
  return sum;
}
