// Runs compiled programs for the differential tests, under user-mode emulation or on the machine itself.
//
// stdin:  records { u32 code bytes, code, u32 memory bytes, memory }
// stdout: records { u64 ok (1) or signal number + 100, u64 r0, memory }
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static sigjmp_buf back;
static void on_signal(int number) { siglongjmp(back, number); }

// The test helpers: id * 1000003 + a mix of the arguments; and they destroy every register that a call may destroy.
static uint64_t mix(uint64_t id, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e) {
  return id * 1000003 + a + b * 3 + c * 5 + d * 7 + e * 11;
}
#ifdef __aarch64__
#define HELPER(n)                                                                                          \
  static uint64_t helper##n(void *rt, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e) {        \
    (void)rt;                                                                                              \
    uint64_t r = mix(n, a, b, c, d, e);                                                                    \
    __asm__ volatile("mov x1, #-1\nmov x2, #-1\nmov x3, #-1\nmov x4, #-1\nmov x5, #-1\nmov x6, #-1\n"     \
                     "mov x7, #-1\nmov x8, #-1\nmov x9, #-1\nmov x10, #-1\nmov x11, #-1\nmov x12, #-1\n"  \
                     "mov x13, #-1\nmov x14, #-1\nmov x15, #-1\nmov x16, #-1\nmov x17, #-1\n" ::          \
                         : "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12",      \
                           "x13", "x14", "x15", "x16", "x17");                                             \
    return r;                                                                                              \
  }
#else
// A stub before each checks that the stack is aligned as a call must leave it.
#define HELPER(n)                                                                                          \
  uint64_t helper##n##_c(void *rt, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e) {           \
    (void)rt;                                                                                              \
    uint64_t r = mix(n, a, b, c, d, e);                                                                    \
    __asm__ volatile("mov $-1, %%rcx\nmov $-1, %%rdx\nmov $-1, %%rsi\nmov $-1, %%rdi\nmov $-1, %%r8\n"    \
                     "mov $-1, %%r9\nmov $-1, %%r10\nmov $-1, %%r11\n" ::                                  \
                         : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "cc");                    \
    return r;                                                                                              \
  }                                                                                                        \
  __asm__("helper" #n ": lea 8(%rsp), %rax\ntest $15, %al\njz helper" #n "_c\nud2\n");                      \
  void helper##n(void);
#endif
HELPER(1) HELPER(2) HELPER(3) HELPER(4) HELPER(5) HELPER(223) HELPER(224) HELPER(225) HELPER(254) HELPER(255)

void *table[256 + 4];

static int get(void *p, size_t n) { return fread(p, 1, n, stdin) == n; }

#ifdef __aarch64__
// Calls the program and checks that it kept the callee-saved registers: result 2 otherwise.
static uint64_t call(void *code, void *mem, uint64_t len, uint64_t *kept) {
  register uint64_t x0 __asm__("x0") = (uint64_t)table;
  register uint64_t x1 __asm__("x1") = (uint64_t)mem;
  register uint64_t x2 __asm__("x2") = len;
  uint64_t ok;
  __asm__ volatile(
      "mov x19, #19\nmov x20, #20\nmov x21, #21\nmov x22, #22\nmov x23, #23\nmov x24, sp\n"
      "blr %[code]\n"
      "sub x9, x24, #0\nmov x10, sp\nsub x9, x9, x10\n"
      "sub x19, x19, #19\nsub x20, x20, #20\nsub x21, x21, #21\nsub x22, x22, #22\nsub x23, x23, #23\n"
      "orr x9, x9, x19\norr x9, x9, x20\norr x9, x9, x21\norr x9, x9, x22\norr x9, x9, x23\nmov %[ok], x9\n"
      : "+r"(x0), "+r"(x1), "+r"(x2), [ok] "=r"(ok)
      : [code] "r"(code)
      : "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17",
        "x19", "x20", "x21", "x22", "x23", "x24", "x30", "memory", "cc");
  *kept = ok == 0;
  return x0;
}
#else
// Calls the program and checks that it kept RSP and the callee-saved registers: result 2 otherwise.
uint64_t saved_sp;
uint64_t call(void *code, void *mem, uint64_t len, uint64_t *kept);
__asm__("call: push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\npush %rcx\n"
        "mov %rdi, %rax\nlea table(%rip), %rdi\n"
        "mov $19, %ebx\nmov $20, %ebp\nmov $21, %r12d\nmov $22, %r13d\nmov $23, %r14d\nmov $24, %r15d\n"
        "mov %rsp, saved_sp(%rip)\ncall *%rax\n"
        "sub $19, %rbx\nsub $20, %rbp\nsub $21, %r12\nsub $22, %r13\nsub $23, %r14\nsub $24, %r15\n"
        "or %rbp, %rbx\nor %r12, %rbx\nor %r13, %rbx\nor %r14, %rbx\nor %r15, %rbx\n"
        "mov saved_sp(%rip), %rcx\nsub %rcx, %rsp\nor %rsp, %rbx\nmov %rcx, %rsp\n"
        "pop %rcx\ntest %rbx, %rbx\nsete %bl\nmovzbl %bl, %ebx\nmov %rbx, (%rcx)\n"
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n");
#endif

int main(void) {
  for (int i = 0; i < 256; i++) table[i] = helper255;
  table[1] = helper1, table[2] = helper2, table[3] = helper3, table[4] = helper4, table[5] = helper5;
  table[223] = helper223, table[224] = helper224, table[225] = helper225, table[254] = helper254;
  signal(SIGSEGV, on_signal), signal(SIGILL, on_signal), signal(SIGBUS, on_signal), signal(SIGFPE, on_signal);
  size_t room = 4 << 20;
  uint8_t *code = mmap(0, room, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  static uint8_t memory[65536] __attribute__((aligned(16)));
  uint32_t n;
  while (get(&n, 4)) {
    if (n > room || !get(code, n)) return 2;
    __builtin___clear_cache((char *)code, (char *)code + n);
    if (!get(&n, 4) || n > sizeof memory || !get(memory, n)) return 2;
    volatile uint64_t status = 1, r0 = 0;
    int number = sigsetjmp(back, 1);
    if (number == 0) {
      uint64_t kept;
      r0 = call(code, memory, n, &kept);
      status = kept ? 1 : 2;
    } else {
      status = 100 + number;
    }
    uint64_t head[2] = {status, r0};
    fwrite(head, 8, 2, stdout), fwrite(memory, 1, n, stdout);
  }
  fflush(stdout);
  return 0;
}
