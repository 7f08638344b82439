/* SPDX-License-Identifier: MIT OR Apache-2.0
 * The init of the Linux system that Axiom is compared with: it measures the same things by the same definitions, prints the
 * same kind of report, and turns the machine off. Static, and the only process but those that it makes.
 *
 * As an ordinary program (argument --bpf-only) it measures the bpf() rows of whatever kernel it runs on.
 */
#define _GNU_SOURCE
#include "measure.h"
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES 100
#define WARM_UP 8

static double overhead;
/* What could not be measured, for the end of the report: between its markers there are only metrics. */
static char missing[32][160];
static int missing_count;

#ifdef __x86_64__
/* Nanoseconds of a step of the time stamp counter, once they are measured; before, the clock of the system is used. */
static double step;

static uint64_t counter(void) {
  uint32_t low, high;
  __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high));
  return (uint64_t)high << 32 | low;
}

static uint64_t raw_clock(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC_RAW, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* Measures the counter for 100 ms. Every reading of the clock stands between two of the counter: the closest pair of some counts. */
static void measure_counter(void) {
  uint64_t counts[2] = {0}, clocks[2] = {0};
  for (int end = 0; end < 2; end++) {
    uint64_t least = ~0ull;
    for (int i = 0; i < 16; i++) {
      uint64_t before = counter(), clock = raw_clock(), width = counter() - before;
      if (width < least) {
        least = width;
        counts[end] = before + width / 2;
        clocks[end] = clock;
      }
    }
    while (!end && raw_clock() - clocks[0] < 100000000)
      ;
  }
  step = (double)(clocks[1] - clocks[0]) / (counts[1] - counts[0]);
}
#endif

/* Nanoseconds of the machine's counter: what CNTVCT_EL0 or, once it is measured, the time stamp counter says; else the monotonic clock. */
uint64_t now(void) {
#ifdef __x86_64__
  if (step > 0)
    return counter() * step;
#endif
#ifdef __aarch64__
  uint64_t count, frequency;
  __asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(count));
  __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(frequency));
  return (uint64_t)((__uint128_t)count * 1000000000u / frequency);
#else
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC_RAW, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
#endif
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static double root(double x) {
  double r = x > 1 ? x : 1;
  for (int i = 0; i < 200; i++)
    r = (r + x / r) / 2;
  return x > 0 ? r : 0;
}

/* The bucket of a sample, as bench/metrics/src/histogram.rs says: 16 to the octave. */
static unsigned bucket(double sample) {
  uint64_t value = sample;
  if (value < 16)
    return value;
  unsigned octave = 63 - __builtin_clzll(value);
  return (octave - 3) * 16 + (value >> (octave - 4) & 15);
}

/* The histogram of sorted samples: first bucket and count, then distance to the next bucket and count. */
static void histogram(const double *samples, int n) {
  unsigned previous = 0;
  for (int i = 0, next; i < n && n > 1; i = next) {
    unsigned b = bucket(samples[i]);
    for (next = i; next < n && bucket(samples[next]) == b;)
      next++;
    printf("%s%u,%d", i ? "," : ",\"hist\":[", b - previous, next - i);
    previous = b;
  }
  if (n > 1)
    putchar(']');
}

/* One line of the report, reduced as bench/metrics reduces: nearest-rank 99th percentile, the population's deviation. */
void metric(const char *name, const char *unit, double *samples, int n, double less) {
  if (n == 0) {
    missed(name, "no samples");
    return;
  }
  double sum = 0, squares = 0;
  for (int i = 0; i < n; i++) {
    samples[i] = samples[i] > less ? samples[i] - less : 0;
    sum += samples[i];
  }
  double mean = sum / n;
  for (int i = 0; i < n; i++)
    squares += (samples[i] - mean) * (samples[i] - mean);
  qsort(samples, n, sizeof *samples, by_value);
  double median = n % 2 ? samples[n / 2] : (samples[n / 2 - 1] + samples[n / 2]) / 2;
  int rank = (99 * n + 99) / 100;
  printf("{\"metric\":\"%s\",\"unit\":\"%s\",\"n\":%d,\"min\":%.1f,\"median\":%.1f,\"mean\":%.1f,\"p99\":%.1f,\"max\":%.1f,"
         "\"stddev\":%.1f,\"overhead\":%.1f",
         name, unit, n, samples[0], median, mean, samples[rank - 1], samples[n - 1], root(squares / n), less);
  histogram(samples, n);
  puts("}");
}

void once(const char *name, const char *unit, double value) { metric(name, unit, &value, 1, 0); }

void missed(const char *name, const char *why) {
  if (missing_count < 32)
    snprintf(missing[missing_count++], sizeof *missing, "%s: %s", name, why);
}

static void read_clock_cost(void) {
  overhead = 1e9;
  for (int i = 0; i < 64; i++) {
    uint64_t a = now(), b = now();
    if (b - a < overhead)
      overhead = b - a;
  }
}

/* ---- boot and memory ---- */

/* The kernel's own stamp of the line with which it starts init, in seconds since its clock started. */
static void boot_stamp(void) {
  int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
  char record[1024];
  ssize_t size;
  while (log >= 0 && (size = read(log, record, sizeof record - 1)) != 0) {
    if (size < 0)
      break;
    record[size] = 0;
    unsigned long long sequence, microseconds;
    unsigned level;
    if (strstr(record, "as init process") && sscanf(record, "%u,%llu,%llu,", &level, &sequence, &microseconds) == 3) {
      once("boot.entry_to_init", "ns", microseconds * 1000.0);
      close(log);
      return;
    }
  }
  if (log >= 0)
    close(log);
  missed("boot.entry_to_init", "the kernel's log has no line about init");
}

static double meminfo(const char *key) {
  char line[256];
  double bytes = -1;
  FILE *f = fopen("/proc/meminfo", "r");
  while (f && fgets(line, sizeof line, f)) {
    unsigned long long kib;
    size_t length = strlen(key);
    if (!strncmp(line, key, length) && line[length] == ':' && sscanf(line + length + 1, "%llu", &kib) == 1)
      bytes = kib * 1024.0;
  }
  if (f)
    fclose(f);
  return bytes;
}

/* RAM of the machine, and where the kernel's parts lie in it. */
static void memory(void) {
  double ram = 0, text = 0, data = 0;
  char line[256];
  FILE *f = fopen("/proc/iomem", "r");
  while (f && fgets(line, sizeof line, f)) {
    unsigned long long from, to;
    char name[128];
    if (sscanf(line, " %llx-%llx : %127[^\n]", &from, &to, name) != 3)
      continue;
    double size = to - from + 1.0;
    if (!strcmp(name, "System RAM"))
      ram += size;
    else if (!strcmp(name, "Kernel code"))
      text += size;
    else if (!strcmp(name, "Kernel data"))
      data += size;
  }
  if (f)
    fclose(f);
  double free_bytes = meminfo("MemFree"), slab = meminfo("Slab");
  if (ram > 0 && free_bytes > 0) {
    /* "System RAM" leaves out what firmware tables and the like reserve inside of it only as sub-ranges: it is the machine's. */
    once("memory.ram", "bytes", ram);
    once("memory.in_use", "bytes", ram - free_bytes);
    once("memory.kernel.text", "bytes", text);
    once("memory.kernel.data", "bytes", data);
  } else {
    missed("memory.in_use", "/proc/iomem or /proc/meminfo does not say");
  }
  if (slab > 0)
    once("memory.slab", "bytes", slab);
}

/* ---- timers ---- */

static void periodic(const char *name, long period_ns) {
  struct timespec next;
  double intervals[SAMPLES], late[SAMPLES];
  char text[64];
  uint64_t last = 0;
  clock_gettime(CLOCK_MONOTONIC, &next);
  for (int i = -1; i < SAMPLES; i++) {
    next.tv_nsec += period_ns;
    if (next.tv_nsec >= 1000000000) {
      next.tv_nsec -= 1000000000;
      next.tv_sec++;
    }
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    uint64_t woken = now();
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    if (i >= 0) {
      intervals[i] = woken - last;
      late[i] = (t.tv_sec - next.tv_sec) * 1e9 + (t.tv_nsec - next.tv_nsec);
    }
    last = woken;
  }
  snprintf(text, sizeof text, "timer.%s.interval", name);
  metric(text, "ns", intervals, SAMPLES, 0);
  snprintf(text, sizeof text, "timer.%s.lateness", name);
  metric(text, "ns", late, SAMPLES, overhead);
}

/* ---- messages between processes ---- */

static void round_trips(const char *name, int send, int receive, size_t size) {
  char buffer[8] = {1};
  double samples[SAMPLES];
  for (int i = -WARM_UP; i < SAMPLES; i++) {
    uint64_t start = now();
    if (write(send, buffer, size) != (ssize_t)size || read(receive, buffer, size) != (ssize_t)size) {
      missed(name, "the partner does not answer");
      return;
    }
    if (i >= 0)
      samples[i] = now() - start;
  }
  metric(name, "ns", samples, SAMPLES, overhead);
}

/* The partner sends back what it gets, until it is killed. */
static pid_t partner(int receive, int send, size_t size) {
  pid_t child = fork();
  if (child == 0) {
    char buffer[8];
    while (read(receive, buffer, size) == (ssize_t)size && write(send, buffer, size) == (ssize_t)size)
      ;
    _exit(0);
  }
  return child;
}

static void end(pid_t child) {
  if (child > 0) {
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
  }
}

static void pipes(void) {
  int there[2], back[2];
  if (pipe(there) || pipe(back)) {
    missed("ipc.pipe.round_trip", "no pipes");
    return;
  }
  pid_t child = partner(there[0], back[1], 1);
  round_trips("ipc.pipe.round_trip", there[1], back[0], 1);
  end(child);
}

static void eventfds(void) {
  int there = eventfd(0, 0), back = eventfd(0, 0);
  pid_t child = partner(there, back, 8);
  round_trips("ipc.eventfd.round_trip", there, back, 8);
  end(child);
}

static void wait_while(volatile uint32_t *word, uint32_t value) {
  while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value)
    syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void set(volatile uint32_t *word, uint32_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
  syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void futexes(void) {
  volatile uint32_t *words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  double samples[SAMPLES];
  if (words == MAP_FAILED) {
    missed("ipc.futex.round_trip", "no shared memory");
    return;
  }
  pid_t child = fork();
  if (child == 0)
    for (uint32_t turn = 1;; turn++) {
      wait_while(&words[0], turn - 1);
      set(&words[16], turn);
    }
  for (int i = 0; i < WARM_UP + SAMPLES; i++) {
    uint64_t start = now();
    set(&words[0], i + 1);
    wait_while(&words[16], i);
    if (i >= WARM_UP)
      samples[i - WARM_UP] = now() - start;
  }
  end(child);
  metric("ipc.futex.round_trip", "ns", samples, SAMPLES, overhead);
}

static void null_call(void) {
  double samples[SAMPLES];
  for (int i = -WARM_UP; i < SAMPLES; i++) {
    uint64_t start = now();
    for (int k = 0; k < 16; k++)
      syscall(SYS_getppid);
    if (i >= 0)
      samples[i] = (now() - start - overhead) / 16;
  }
  metric("syscall.null", "ns", samples, SAMPLES, 0);
}

/* A process below everybody keeps the processor busy, as a thread does in Axiom's benchmark: timers then meet a running system,
 * and an emulator that counts instructions never has to make up time for an idle one. */
static pid_t busy(void) {
  pid_t child = fork();
  if (child == 0) {
    struct sched_param p = {0};
    if (sched_setscheduler(0, SCHED_IDLE, &p))
      _exit(1);
    for (;;)
      __asm__ volatile("");
  }
  return child;
}

static void above_everybody(void) {
  struct sched_param p = {.sched_priority = 90};
  if (sched_setscheduler(0, SCHED_FIFO, &p))
    missed("real-time priority", "the kernel refused it; timers compete with everybody");
  mlockall(MCL_CURRENT | MCL_FUTURE);
}

int main(int argc, char **argv) {
#ifdef __x86_64__
  uint64_t first_count = counter();
#endif
  uint64_t started = now();
  int bpf_only = argc > 1 && !strcmp(argv[1], "--bpf-only");
  struct utsname system;
  uname(&system);
  setvbuf(stdout, NULL, _IOFBF, 1 << 16);
  if (!bpf_only) {
    mkdir("/proc", 0755);
    mkdir("/dev", 0755);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
  }
#ifdef __x86_64__
  if (!bpf_only) {
    measure_counter();
    started = first_count * step;
  }
#endif
  read_clock_cost();
  printf("-----BEGIN AXIOM REPORT-----\n");
  printf("{\"circumstances\":{\"format\":1,\"board\":\"%s\",\"system\":\"Linux %s\",\"emulated\":%s,\"commit\":\"%s\",\"compiler\":\"gcc %s\"}}\n",
         bpf_only ? "host" : BOARD, system.release, bpf_only ? "false" : "true", COMMIT, __VERSION__);
  if (!bpf_only) {
    once("boot.reset_to_init", "ns", started);
    boot_stamp();
    memory();
  }
  bpf_rows();
  bpf_timer_row();
  if (!bpf_only) {
    pid_t below = busy();
    null_call();
    pipes();
    eventfds();
    futexes();
    above_everybody();
    periodic("10ms", 10000000);
    periodic("1ms", 1000000);
    end(below);
  }
  printf("-----END AXIOM REPORT-----\n");
  for (int i = 0; i < missing_count; i++)
    printf("not measured: %s\n", missing[i]);
  printf("axiom: run ended: ok\n");
  fflush(stdout);
  if (!bpf_only) {
    sync();
    reboot(RB_POWER_OFF);
  }
  return 0;
}
