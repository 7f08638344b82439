//! Checks of what only this architecture has: ports, pins, addresses with a hole, flags, FPU state, privileged instructions.
use crate::same;
use crate::say;
use crate::world::{self as w, Check, World};
use core::arch::asm;
use core::arch::x86_64::__cpuid_count;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use sel4_sys::cap::init;
use sel4_sys::object::{kind, vm_attributes};
use sel4_sys::{CPtr, Error, MessageInfo, fault, label, stubs, syscall};

/// All checks, by name.
pub const ALL: &[(&str, Check)] = &[
    ("ports are handed out once, and no access leaves its range", ports),
    ("a pin has one handler, and each argument its range", pins),
    ("tables are mapped from the top, and a page replaces none of them", tables),
    ("an address in the hole never reaches the kernel's way out", hole),
    ("user space runs no privileged instruction", privileged),
    ("a thread's flags stay its own", flags),
    ("an interrupt keeps every register", interrupted),
    ("each thread has FPU registers of its own, which are fresh at first", fpu),
    ("vector registers are whole for each thread, as far as the kernel stores them", vectors),
    ("a page without execution is not executed", no_execute),
    ("bases that a thread copies onto itself are loaded", bases),
    ("segment selectors do not pass from one address space to another", selectors),
];

static SEEN: AtomicU64 = AtomicU64::new(0);
static WRONG: AtomicU64 = AtomicU64::new(0);

fn ports(t: &mut World) -> bool {
    let slot = t.slots(3);
    let issue = |first: u64, last: u64, slot: u64| {
        let words = [first, last, slot, 64];
        w::invoke(init::IO_PORT_CONTROL, label::IO_PORT_CONTROL_ISSUE, &[init::CNODE], &words).map(drop)
    };
    same!("from high to low", issue(0x8f, 0x80, slot), Err(Error::InvalidArgument));
    same!("into an occupied slot", issue(0x80, 0x8f, 1), Err(Error::DeleteFirst));
    same!("issue", issue(0x80, 0x8f, slot), Ok(()));
    let numbers = (w::identify(init::IO_PORT_CONTROL), w::identify(CPtr(slot)));
    same!("numbers for debugging", numbers, (31, 19));
    for (first, last) in [(0x80, 0x80), (0x8f, 0x100), (0, 0xffff), (0x70, 0x80)] {
        same!("overlap", (first, issue(first, last, slot + 1)), (first, Err(Error::RevokeFirst)));
    }
    let ports = CPtr(slot);
    let access = |label: u64, port: u64| w::invoke(ports, label, &[], &[port, 0]).map(drop);
    same!("first byte", access(label::IO_PORT_OUT8, 0x80), Ok(()));
    same!("last bytes", access(label::IO_PORT_IN32, 0x8c), Ok(()));
    for (label, port) in [
        (label::IO_PORT_IN8, 0x7f),
        (label::IO_PORT_OUT8, 0x90),
        (label::IO_PORT_IN16, 0x8f),
        (label::IO_PORT_OUT32, 0x8d),
        (label::IO_PORT_CONTROL_ISSUE, 0x80),
    ] {
        same!("outside", (label, port, access(label, port)), (label, port, Err(Error::IllegalOperation)));
    }
    same!(
        "no data",
        w::invoke(ports, label::IO_PORT_OUT8, &[], &[0x80]).map(drop),
        Err(Error::TruncatedMessage)
    );
    // The last capability gives the ports back, not the first to go.
    let copy = w::invoke(init::CNODE, label::CNODE_COPY, &[init::CNODE], &[slot + 1, 64, slot, 64, 15]);
    same!("copy", (copy.map(drop), w::delete(ports)), (Ok(()), Ok(())));
    same!("still taken", issue(0x8f, 0x8f, slot), Err(Error::RevokeFirst));
    same!("delete", w::delete(CPtr(slot + 1)), Ok(()));
    same!("issue again", issue(0x8f, 0x8f, slot), Ok(()));
    same!("delete", w::delete(ports), Ok(()));
    true
}

fn pins(t: &mut World) -> bool {
    let slot = t.slots(2);
    let ask = |label: u64, slot: u64, args: [u64; 4], vector: u64| {
        let [a, b, c, d] = args;
        w::invoke(init::IRQ_CONTROL, label, &[init::CNODE], &[slot, 64, a, b, c, d, vector]).map(drop)
    };
    let pin = |slot, args, vector| ask(label::IRQ_ISSUE_HANDLER_IOAPIC, slot, args, vector);
    let message = |slot, args, vector| ask(label::IRQ_ISSUE_HANDLER_MSI, slot, args, vector);
    same!("by number", ask(label::IRQ_ISSUE_HANDLER, slot, [0; 4], 0), Err(Error::IllegalOperation));
    for (args, vector) in [
        ([0, 5, 0, 0], 108),
        ([8, 5, 0, 0], 30),
        ([0, 240, 0, 0], 30),
        ([0, 5, 2, 0], 30),
        ([0, 5, 0, 2], 30),
    ] {
        same!("range", (args, pin(slot, args, vector)), (args, Err(Error::RangeError)));
    }
    for args in [[256, 0, 0, 0], [0, 32, 0, 0], [0, 0, 8, 0]] {
        same!("range", (args, message(slot, args, 30)), (args, Err(Error::RangeError)));
    }
    same!("pin 5", pin(slot, [0, 5, 1, 1], 30), Ok(()));
    same!("its vector", message(slot + 1, [0; 4], 30), Err(Error::RevokeFirst));
    same!("the pin again", pin(slot + 1, [0, 5, 1, 1], 31), Err(Error::RevokeFirst));
    same!("a message", message(slot + 1, [0, 3, 0, 7], 31), Ok(()));
    same!("delete", (w::delete(CPtr(slot)), w::delete(CPtr(slot + 1))), (Ok(()), Ok(())));
    same!("the pin once more", pin(slot, [0, 5, 0, 0], 31), Ok(()));
    same!("delete", w::delete(CPtr(slot)), Ok(()));
    true
}

fn tables(t: &mut World) -> bool {
    const AT: u64 = 0x55_0000_0000;
    let space = t.make(kind::VSPACE, 0);
    let assign = w::invoke(init::ASID_POOL, label::ASID_POOL_ASSIGN, &[space], &[]);
    same!("assign", assign.map(drop), Ok(()));
    let [pointers, directory, table, second] =
        [kind::PDPT, kind::PAGE_DIRECTORY, kind::PAGE_TABLE, kind::PAGE_TABLE].map(|kind| t.make(kind, 0));
    let map = |cap, label, at| w::invoke(cap, label, &[space], &[at, vm_attributes::DEFAULT]).map(drop);
    let page =
        |cap, at| w::invoke(cap, label::PAGE_MAP, &[space], &[at, 3, vm_attributes::DEFAULT]).map(drop);
    let (small, large) = (t.make(kind::SMALL_PAGE, 0), t.make(kind::LARGE_PAGE, 0));
    same!("no PDPT", map(table, label::PAGE_TABLE_MAP, AT), Err(Error::FailedLookup));
    same!("no PDPT", map(directory, label::PAGE_DIRECTORY_MAP, AT), Err(Error::FailedLookup));
    same!("another's label", map(table, label::PDPT_MAP, AT), Err(Error::IllegalOperation));
    same!(
        "the kernel's half",
        map(pointers, label::PDPT_MAP, 0xffff_8000_0000_0000),
        Err(Error::InvalidArgument)
    );
    same!("PDPT", map(pointers, label::PDPT_MAP, AT), Ok(()));
    same!("no directory", page(large, AT), Err(Error::FailedLookup));
    same!("directory", map(directory, label::PAGE_DIRECTORY_MAP, AT), Ok(()));
    same!("table", map(table, label::PAGE_TABLE_MAP, AT), Ok(()));
    same!("a second one", map(second, label::PAGE_TABLE_MAP, AT), Err(Error::DeleteFirst));
    same!("mapped twice", map(table, label::PAGE_TABLE_MAP, AT + (4 << 20)), Err(Error::InvalidCapability));
    same!("a page over the table", page(large, AT), Err(Error::DeleteFirst));
    same!("page", page(small, AT + 4096), Ok(()));
    same!(
        "the last page below the hole",
        page(t.make(kind::SMALL_PAGE, 0), 0x7fff_ffff_f000),
        Err(Error::InvalidArgument)
    );
    same!("large page", page(large, AT + (2 << 20)), Ok(()));
    same!("unmap", w::invoke(table, label::PAGE_TABLE_UNMAP, &[], &[]).map(drop), Ok(()));
    same!("now", map(second, label::PAGE_TABLE_MAP, AT), Ok(()));
    same!("gone with the space", w::delete(space), Ok(()));
    true
}

extern "C" fn spins(_: u64, _: u64) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Writes of where a thread goes on, with rcx and r11 as a system call would leave them: the way out by SYSRET.
fn hole(t: &mut World) -> bool {
    let (ep, reply) = (t.make(kind::ENDPOINT, 0), t.make(kind::REPLY, 0));
    const KERNEL: u64 = 0xffff_ffff_8020_1000;
    for (pc, kept) in [(1 << 47, 0), (0x8000_0000_0000_0000, 0), (0xffff_7fff_ffff_fffe, 0), (KERNEL, KERNEL)]
    {
        let thread = t.thread_with_handler(100, spins, 0, 0, ep);
        let mut words = [0; 2 + super::WORDS];
        words[..2].copy_from_slice(&[1, super::WORDS as u64]);
        (words[2], words[3], words[4]) = (pc, 0x1000, u64::MAX);
        // rcx, r11, the bases of FS and GS.
        (words[2 + 5], words[2 + 13], words[2 + 18], words[2 + 19]) = (kept, 0xed7, pc, 1 << 63);
        same!("write", w::invoke(thread.tcb, label::TCB_WRITE_REGISTERS, &[], &words).map(drop), Ok(()));
        let m = stubs::recv(ep, reply);
        let fault = (m.info.label(), m.mrs[fault::vm_fault::IP], m.mrs[fault::vm_fault::PREFETCH]);
        same!("a fetch that faults in user space", (pc, fault), (pc, (fault::kind::VM, kept, 1)));
        // User, fetch, and for the kernel's page: present.
        same!("as a user", m.mrs[fault::vm_fault::FSR] & 0b10100, 0b10100);
        let read = w::invoke(thread.tcb, label::TCB_READ_REGISTERS, &[], &[0, super::WORDS as u64]);
        let b = w::buffer();
        same!("read", read.map(|r| r.mrs[2]), Ok(0xed7));
        same!("bases", (b.msg[18], b.msg[19]), (kept, 0));
        same!("delete", w::delete(thread.tcb), Ok(()));
    }
    let own = w::thread_pointer();
    super::set_tls_base(1 << 63);
    stubs::yield_now();
    super::set_tls_base(own);
    same!("the thread pointer again", w::thread_pointer(), own);
    true
}

core::arch::global_asm!(
    ".global root_test_privileged",
    "root_test_privileged:",
    "in al, dx",
    "out dx, al",
    "cli",
    "hlt",
    "rdmsr",
    "wrmsr",
    "wbinvd",
    "mov rax, cr0",
    "mov cr3, rax",
    "mov rax, dr7",
    "lgdt [rsp - 16]",
    "lidt [rsp - 16]",
    "int 0x80",
    "int 0x9d",
    "invlpg [rsp]",
    "clac",
    "xsetbv",
    "sgdt [rsp - 16]",
    "sidt [rsp - 16]",
    "smsw eax",
    "ud2",
);

unsafe extern "C" {
    fn root_test_privileged(a: u64, b: u64) -> !;
}

extern "C" fn runs_privileged(a: u64, b: u64) -> ! {
    // SAFETY: every instruction there faults, and the handler goes on after it.
    unsafe { root_test_privileged(a, b) }
}

fn privileged(t: &mut World) -> bool {
    /// Lengths of the instructions, and of those that UMIP keeps.
    const ALWAYS: [u64; 17] = [1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 5, 5, 2, 2, 4, 3, 3];
    const UMIP: [u64; 3] = [5, 5, 3];
    const GENERAL_PROTECTION: u64 = 13;
    const UNDEFINED: u64 = 6;
    let has_umip = __cpuid_count(7, 0).ecx >> 2 & 1 != 0;
    let (ep, reply) = (t.make(kind::ENDPOINT, 0), t.make(kind::REPLY, 0));
    let thread = t.thread_with_handler(100, runs_privileged, 0, 0, ep);
    let kept = if has_umip { &UMIP[..] } else { &[] };
    let mut m = stubs::recv(ep, reply);
    let start = root_test_privileged as *const () as u64;
    let mut expected = start;
    for length in ALWAYS.iter().chain(kept) {
        use fault::user_exception as e;
        same!(
            "kind",
            (m.info.label(), m.mrs[e::FAULT_IP] - start),
            (fault::kind::USER_EXCEPTION, expected - start)
        );
        let vector = m.mrs[e::NUMBER];
        // A processor without SMAP does not know clac, one without XSAVE not xsetbv.
        same!(
            "vector",
            (expected - start, vector == GENERAL_PROTECTION || vector == UNDEFINED),
            (expected - start, true)
        );
        expected += length;
        let answer = [expected, m.mrs[e::SP], m.mrs[e::FLAGS], 0];
        if expected - start == ALWAYS.iter().chain(kept).sum::<u64>() {
            break;
        }
        m = stubs::reply_recv(ep, MessageInfo::new(0, 0, 0, 3), answer, reply);
    }
    same!("delete", w::delete(thread.tcb), Ok(()));
    true
}

const DIRECTION: u64 = 1 << 10;
const NESTED: u64 = 1 << 14;
const ALIGNMENT: u64 = 1 << 18;

/// System calls with flags that would change what the kernel does: the direction of its copies, a nested task's return, and
/// access to user memory. QEMU 7.2 clears the direction flag at SYSCALL whatever the kernel's mask says, so that one cannot fail here.
fn flags(t: &mut World) -> bool {
    for flag in [DIRECTION, NESTED, ALIGNMENT | DIRECTION | NESTED] {
        // Zeroes that go backwards meet this one, which lies before the next.
        let before = t.make(kind::TCB, 0);
        let words = [0, 6, 0x11, 0x22, 0, 0x33, 0x44, 0x55];
        same!("write", w::invoke(before, label::TCB_WRITE_REGISTERS, &[], &words).map(drop), Ok(()));
        let slot = t.slots(1);
        let words = [kind::TCB, 0, 0, 0, slot, 1];
        w::buffer().msg[4] = words[4];
        w::buffer().msg[5] = words[5];
        w::buffer().caps_or_badges[0] = init::CNODE.0;
        let info = MessageInfo::new(label::UNTYPED_RETYPE, 0, 1, 6);
        let (after, told): (u64, u64);
        // SAFETY: a system call as in `sel4_sys::stubs`, with more flags set around it; Rust's code runs without them.
        unsafe {
            asm!(
                "pushfq", "or qword ptr [rsp], {flag}", "popfq",
                "mov r14, rbx", "mov rbx, rsp", "syscall", "mov rsp, rbx", "mov rbx, r14",
                "pushfq", "pop {after}", "push 2", "popfq",
                flag = in(reg) flag, after = lateout(reg) after,
                inout("rdi") t.untyped.0 => _, inout("rsi") info.0 => told,
                inout("r10") words[0] => _, inout("r8") words[1] => _, inout("r9") words[2] => _,
                inout("r15") words[3] => _, inout("r12") 0u64 => _, inout("rdx") syscall::CALL => _,
                inout("r13") 0u64 => _, out("rcx") _, out("r11") _, out("r14") _,
            );
        }
        same!("the call", (flag, told), (flag, 0));
        same!("its flags", (flag, after & flag), (flag, flag));
        let all_zero = w::invoke(CPtr(slot), label::TCB_READ_REGISTERS, &[], &[0, super::WORDS as u64]);
        same!("what was made", all_zero.map(|r| (r.mrs[0], r.mrs[1], r.mrs[2])), Ok((0, 0, 0x202)));
        let kept = w::invoke(before, label::TCB_READ_REGISTERS, &[], &[0, 6])
            .map(|r| (r.mrs[0], r.mrs[1], r.mrs[3]));
        same!("what lies before it", (flag, kept), (flag, Ok((0x11, 0x22, 0x33))));
    }
    true
}

/// Fills all registers and stays: rcx and r11 with two words from memory, which are overwritten with where it stays and its flags.
extern "C" fn full(words: u64, bases: u64) -> ! {
    // SAFETY: it never comes back; the two words are a static's. The bases are set only where the processor has the instructions.
    unsafe {
        asm!(
            "test rsi, rsi", "jz 3f", "wrfsbase rsi", "wrgsbase rsi", "3:",
            "mov rcx, [rdi]", "mov r11, [rdi + 8]", "lea rax, [rip + 2f]", "mov [rdi], rax",
            "mov rbx, 0x101", "mov rdx, 0x103", "mov rsi, 0x104", "mov rbp, 0x106",
            "mov r8, 0x107", "mov r9, 0x108", "mov r10, 0x109", "mov r12, 0x10b", "mov r13, 0x10c",
            "mov r14, 0x10d", "mov r15, 0x10e", "mov rax, 0x100",
            "cmp rax, 0", "pushfq", "pop [rdi + 8]", "mov rdi, 0x105",
            "2:", "jmp 2b",
            in("rdi") words, in("rsi") bases, options(noreturn)
        )
    }
}

static WORDS: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// Whether the way out is by SYSRET depends on rcx and r11: each alone, and neither, is where the thread goes on, or its flags.
fn interrupted(t: &mut World) -> bool {
    const BASE: u64 = 0x12_3456_7000;
    let has_bases = __cpuid_count(7, 0).ebx & 1 != 0;
    let own = [0x102, 0x10a];
    let mut last = own;
    for [rcx, r11] in [[0, 0], [1, 0], [0, 1], [1, 1]] {
        // What the first round found, where it is asked for.
        let words = [if rcx == 1 { last[0] } else { own[0] }, if r11 == 1 { last[1] } else { own[1] }];
        WORDS.iter().zip(words).for_each(|(to, word)| to.store(word, SeqCst));
        let (thread, buffer, stack) = t.build(100, 100, 200, CPtr(0));
        let bases = if has_bases { BASE } else { 0 };
        t.start(thread, full, [WORDS.as_ptr() as u64, bases], buffer, stack);
        // On a busy host it takes a while until it stays where it is.
        let first = |t: &mut World| {
            t.sleep_us(1100);
            let read = w::invoke(thread.tcb, label::TCB_READ_REGISTERS, &[], &[0, 4]);
            read.is_ok_and(|r| r.mrs[3] == 0x100)
        };
        same!("it runs", (0..1000).any(|_| first(t)), true);
        for _ in 0..10 {
            t.sleep_us(1100);
            let read = w::invoke(thread.tcb, label::TCB_READ_REGISTERS, &[], &[0, super::WORDS as u64]);
            let fourth = read.map_or(0, |r| r.mrs[3]);
            let b = w::buffer();
            same!("rax", fourth, 0x100);
            for i in (4..18usize).filter(|i| *i != 5 && *i != 13) {
                same!("register", (i, b.msg[i]), (i, 0x100 + i as u64 - 3));
            }
            same!("rcx and r11", [b.msg[5], b.msg[13]], words);
            if has_bases {
                same!("bases", [b.msg[18], b.msg[19]], [BASE, BASE]);
            }
        }
        same!("delete", w::delete(thread.tcb), Ok(()));
        last = [WORDS[0].load(SeqCst), WORDS[1].load(SeqCst)];
    }
    true
}

/// Puts a value into the FPU's registers and looks for it again and again.
extern "C" fn computes(value: u64, _: u64) -> ! {
    let (first, control, word): (u64, u32, u16);
    let mut memory = [0u32; 2];
    // SAFETY: the registers are this thread's, and the compiler keeps nothing in them.
    unsafe {
        asm!("movq {}, xmm5", "stmxcsr [{m}]", "fnstcw [{m} + 4]", out(reg) first, m = in(reg) &raw mut memory, options(nostack));
    }
    (control, word) = (memory[0], memory[1] as u16);
    if (first, control, word) != (0, 0x1f80, 0x37f) {
        WRONG.fetch_add(1, SeqCst);
    }
    let mut number = value;
    // SAFETY: as above.
    unsafe {
        asm!("movq xmm5, {}", "fild qword ptr [{m}]", in(reg) value, m = in(reg) &raw const number, options(nostack))
    };
    loop {
        let there: u64;
        // SAFETY: as above; the x87 register is stored and loaded again.
        unsafe {
            asm!("movq {}, xmm5", "fistp qword ptr [{m}]", "fild qword ptr [{m}]", out(reg) there, m = in(reg) &raw mut number, options(nostack));
        }
        if (there, number) != (value, value) {
            WRONG.fetch_add(1, SeqCst);
        }
        SEEN.fetch_add(1, SeqCst);
    }
}

fn fpu(t: &mut World) -> bool {
    SEEN.store(0, SeqCst);
    WRONG.store(0, SeqCst);
    let threads: [_; 3] =
        core::array::from_fn(|i| t.thread_with_args(100, computes, 0x1111 * (i as u64 + 1), 50, 100));
    for _ in 0..20 {
        t.sleep_us(1000);
    }
    let (rounds, wrong) = (SEEN.load(SeqCst), WRONG.load(SeqCst));
    say!("root-test:   {rounds} looks at FPU registers by three threads");
    same!("wrong ones", (rounds > 1000, wrong), (true, 0));
    // Without the FPU the next touch is an exception.
    let flag = w::invoke(threads[0].tcb, label::TCB_SET_FLAGS, &[], &[0, 1]).map(|r| r.mrs[0]);
    same!("flag", flag, Ok(1));
    t.sleep_us(1000);
    let read = w::invoke(threads[0].tcb, label::TCB_READ_REGISTERS, &[], &[1, 1]).map(|r| r.mrs[0]);
    t.sleep_us(1000);
    let again = w::invoke(threads[0].tcb, label::TCB_READ_REGISTERS, &[], &[1, 1]).map(|r| r.mrs[0]);
    same!("it stands", read, again);
    for thread in threads {
        same!("delete", w::delete(thread.tcb), Ok(()));
    }
    true
}

core::arch::global_asm!(
    r#"
    .macro each instruction, register, loads
    .irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    .if \loads
    \instruction \register\i, [rdi + 32 * \i]
    .else
    \instruction [rdi + 32 * \i], \register\i
    .endif
    .endr
    ret
    .endm
root_test_load_xmm:
    each movups, xmm, 1
root_test_store_xmm:
    each movups, xmm, 0
root_test_load_ymm:
    each vmovups, ymm, 1
root_test_store_ymm:
    each vmovups, ymm, 0
    .purgem each
    .global root_test_holds
root_test_holds:
    call rsi
    .global root_test_holding
root_test_holding:
    jmp 2f
    .global root_test_bystander
root_test_bystander:
    jmp 4f
    // Each place is come to once in a while.
2:  mov ecx, 2000
3:  dec ecx
    jnz 3b
    jmp root_test_holds
4:  mov ecx, 2000
5:  dec ecx
    jnz 5b
    jmp root_test_bystander
    "#
);

/// All vector registers, 32 bytes each; without AVX the upper 16 of each are left alone.
#[repr(C, align(32))]
struct Vectors([u64; 64]);

unsafe extern "C" {
    fn root_test_load_xmm(from: *const Vectors);
    fn root_test_store_xmm(to: *mut Vectors);
    fn root_test_load_ymm(from: *const Vectors);
    fn root_test_store_ymm(to: *mut Vectors);
    fn root_test_holds(from: u64, load: u64) -> !;
    fn root_test_bystander(a: u64, b: u64) -> !;
}

/// What a vector register is loaded with, and what is nowhere else in a machine.
const PATTERN: u64 = 0x5ec2_e700_0000_0000;

impl Vectors {
    fn of(value: u64, has_avx: bool) -> Vectors {
        Vectors(core::array::from_fn(|i| if has_avx || i % 4 < 2 { value | i as u64 } else { 0 }))
    }
    fn load(&self, has_avx: bool) {
        // SAFETY: the registers are this thread's, and the compiler keeps nothing in them.
        unsafe { if has_avx { root_test_load_ymm(self) } else { root_test_load_xmm(self) } }
    }
    fn store(&mut self, has_avx: bool) {
        // SAFETY: there is room for all of them.
        unsafe { if has_avx { root_test_store_ymm(self) } else { root_test_store_xmm(self) } }
    }
}

/// XCR0, where the kernel has switched XSAVE on: that is in CPUID.
fn components() -> u32 {
    if __cpuid_count(1, 0).ecx >> 27 & 1 == 0 {
        return 0;
    }
    let low: u32;
    // SAFETY: CPUID announces the instruction for user space; it only reads.
    unsafe {
        asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") _, options(nomem, nostack, preserves_flags))
    };
    low
}

/// Looks that all vector registers are zero at first, then fills them and looks again and again.
extern "C" fn holds_vectors(value: u64, avx: u64) -> ! {
    let has_avx = avx != 0;
    let mut found = Vectors([0; 64]);
    found.store(has_avx);
    if found.0 != [0; 64] {
        WRONG.fetch_add(1, SeqCst);
    }
    let own = Vectors::of(value, has_avx);
    own.load(has_avx);
    // Another rounding for each, all exceptions masked.
    let (control, mut seen) = (0x1f80 | (value as u32 >> 16 & 3) << 13, 0u32);
    // SAFETY: both are words in memory; no exception comes.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const control, options(nostack, readonly)) };
    loop {
        found.store(has_avx);
        // SAFETY: as above.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut seen, options(nostack)) };
        if found.0 != own.0 || seen != control {
            WRONG.fetch_add(1, SeqCst);
        }
        SEEN.fetch_add(1, SeqCst);
    }
}

extern "C" fn asks_components(_: u64, _: u64) -> ! {
    // SAFETY: where the processor does not let it, this is a fault, which the check waits for.
    unsafe { asm!("xgetbv", "2: pause", "jmp 2b", in("ecx") 0, options(noreturn)) }
}

fn vectors(t: &mut World) -> bool {
    let (basic, area) = (__cpuid_count(1, 0), components());
    let has_xsave = basic.ecx >> 26 & 1 != 0;
    let has_avx = has_xsave && basic.ecx >> 28 & 1 != 0 && __cpuid_count(0xd, 0).eax & 7 == 7;
    same!("components", area, if has_avx { 7 } else { 3 * u32::from(has_xsave) });
    say!("root-test:   components of XCR0: {area:#x}");
    SEEN.store(0, SeqCst);
    WRONG.store(0, SeqCst);
    let start = |t: &mut World, i: u64| {
        let (thread, buffer, stack) = t.build(100, 50, 150, CPtr(0));
        t.start(thread, holds_vectors, [PATTERN | i << 16, has_avx.into()], buffer, stack);
        thread
    };
    let mut threads = [start(t, 1), start(t, 2), start(t, 3)];
    for round in 0..20 {
        t.sleep_us(1000);
        // A new thread in the middle finds nothing of the others', nor of the one that it comes after.
        same!("delete", w::delete(threads[round % 3].tcb), Ok(()));
        threads[round % 3] = start(t, 4 + round as u64);
    }
    let (looks, wrong) = (SEEN.load(SeqCst), WRONG.load(SeqCst));
    say!("root-test:   {looks} looks at all vector registers, by three threads at a time");
    same!("wrong ones", (looks > 500, wrong), (true, 0));
    for thread in threads {
        same!("delete", w::delete(thread.tcb), Ok(()));
    }
    // One holds the pattern while another runs that never asked: what lies in the registers then is for the emulator to say
    // (platform/qemu-x86_64/tests/fpu.sh).
    let load = if has_avx { root_test_load_ymm as *const () } else { root_test_load_xmm as *const () } as u64;
    let own = Vectors::of(PATTERN, has_avx);
    let threads: [_; 2] = core::array::from_fn(|i| {
        let (thread, buffer, stack) = t.build(100, 50, 100, CPtr(0));
        let entry: [extern "C" fn(u64, u64) -> !; 2] = [keeps, stands_by];
        t.start(thread, entry[i], [&raw const own as u64, load], buffer, stack);
        thread
    });
    t.sleep_us(2000);
    // The one that holds it goes away while it runs, as far as one can tell: at its turn.
    for thread in threads {
        same!("delete", w::delete(thread.tcb), Ok(()));
    }
    let (ep, reply) = (t.make(kind::ENDPOINT, 0), t.make(kind::REPLY, 0));
    if !has_xsave {
        let thread = t.thread_with_handler(100, asks_components, 0, 0, ep);
        let m = stubs::recv(ep, reply);
        let fault = (m.info.label(), m.mrs[fault::user_exception::NUMBER]);
        same!("no such instruction", fault, (fault::kind::USER_EXCEPTION, 6));
        same!("delete", w::delete(thread.tcb), Ok(()));
    }
    // Who may not use the FPU may not use its upper halves.
    let (thread, buffer, stack) = t.build(100, 5000, 5000, ep);
    same!("flag", w::invoke(thread.tcb, label::TCB_SET_FLAGS, &[], &[0, 1]).map(|r| r.mrs[0]), Ok(1));
    t.start(thread, keeps, [&raw const own as u64, load], buffer, stack);
    let m = stubs::recv(ep, reply);
    let fault = (m.info.label(), m.mrs[fault::user_exception::NUMBER]);
    same!("not for this one", fault, (fault::kind::USER_EXCEPTION, 7));
    same!("delete", w::delete(thread.tcb), Ok(()));
    true
}

extern "C" fn keeps(from: u64, load: u64) -> ! {
    // SAFETY: `from` has all registers, `load` is the function that loads them.
    unsafe { root_test_holds(from, load) }
}

extern "C" fn stands_by(a: u64, b: u64) -> ! {
    // SAFETY: it runs round and round.
    unsafe { root_test_bystander(a, b) }
}

fn no_execute(t: &mut World) -> bool {
    const AT: u64 = 0x7300_0000;
    const RETURN: u8 = 0xc3;
    let (ep, reply) = (t.make(kind::ENDPOINT, 0), t.make(kind::REPLY, 0));
    let frame = t.make(kind::SMALL_PAGE, 0);
    t.map_tables(AT);
    let words = [AT, 3, vm_attributes::DEFAULT | vm_attributes::EXECUTE_NEVER];
    same!("map", w::invoke(frame, label::PAGE_MAP, &[init::VSPACE], &words).map(drop), Ok(()));
    // SAFETY: a fresh page is mapped there, for this check alone.
    unsafe { (AT as *mut u8).write_volatile(RETURN) };
    // SAFETY: the code of that page takes two words and does not come back to its caller: it faults.
    let entry = unsafe { core::mem::transmute::<usize, extern "C" fn(u64, u64) -> !>(AT as usize) };
    let thread = t.thread_with_handler(100, entry, 0, 0, ep);
    let m = stubs::recv(ep, reply);
    let fault = (m.info.label(), m.mrs[fault::vm_fault::ADDR], m.mrs[fault::vm_fault::PREFETCH]);
    same!("fault", fault, (fault::kind::VM, AT, 1));
    same!("delete", w::delete(thread.tcb), Ok(()));
    true
}

/// Words at the bases of GS: what is read through it says which one is loaded, also where no instruction tells.
static AT_BASES: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

fn bases(t: &mut World) -> bool {
    let read = || {
        let word: u64;
        // SAFETY: the base was set to a word of this program.
        unsafe { asm!("mov {}, gs:[0]", out(reg) word, options(nostack, preserves_flags, readonly)) };
        word
    };
    let own = w::thread_pointer();
    let (source, ..) = t.build(100, 100, 200, CPtr(0));
    let copy =
        |flags: u64| w::invoke(init::TCB, label::TCB_COPY_REGISTERS, &[source.tcb], &[flags]).map(drop);
    for (i, place) in AT_BASES.iter().enumerate() {
        place.store(0x1234 + i as u64, SeqCst);
        let mut words = [0; 2 + super::WORDS];
        words[1] = super::WORDS as u64;
        (words[2 + 18], words[2 + 19]) = (own, place.as_ptr() as u64);
        same!("write", w::invoke(source.tcb, label::TCB_WRITE_REGISTERS, &[], &words).map(drop), Ok(()));
        same!("copy", copy(8), Ok(()));
        same!("the base of GS", read(), 0x1234 + i as u64);
        same!("the base of FS", w::thread_pointer(), own);
        // A base of FS alone leaves that of GS.
        super::set_tls_base(own);
        same!("the base of GS still", read(), 0x1234 + i as u64);
        t.sleep_us(1000);
        same!("after another thread", (read(), w::thread_pointer()), (0x1234 + i as u64, own));
    }
    if __cpuid_count(7, 0).ebx & 1 != 0 {
        // The kernel learns nothing of this one; copied onto itself, the thread keeps it.
        // SAFETY: the processor has the instruction, and the kernel lets user space use it where it has.
        unsafe { asm!("wrgsbase {}", in(reg) AT_BASES[0].as_ptr(), options(nostack, preserves_flags)) };
        let onto_itself = w::invoke(init::TCB, label::TCB_COPY_REGISTERS, &[init::TCB], &[8]).map(drop);
        same!("copy", onto_itself, Ok(()));
        same!("the base of GS that it wrote", (read(), w::thread_pointer()), (0x1234, own));
    }
    same!("delete", w::delete(source.tcb), Ok(()));
    true
}

fn selectors(t: &mut World) -> bool {
    /// The user's data segment.
    const DATA: u32 = 0x23;
    // FS stays: its base, which loading it makes 0 on some processors, is where this program finds its IPC buffer.
    // SAFETY: in 64-bit mode these segments have no effect but by the base of GS, which nothing here uses.
    unsafe {
        asm!("mov ds, {0:e}", "mov es, {0:e}", "mov gs, {0:e}", in(reg) DATA, options(nomem, nostack, preserves_flags))
    };
    let read = || {
        let (ds, es, gs): (u32, u32, u32);
        // SAFETY: reading selectors has no effect.
        unsafe {
            asm!(
                "mov {0:e}, ds", "mov {1:e}, es", "mov {2:e}, gs",
                out(reg) ds, out(reg) es, out(reg) gs, options(nomem, nostack, preserves_flags)
            );
        }
        [ds, es, gs]
    };
    same!("what a thread loads it has", read(), [DATA; 3]);
    // Meanwhile nobody runs: that is an address space of its own.
    t.sleep_us(1000);
    same!("after another address space", read(), [0; 3]);
    true
}
