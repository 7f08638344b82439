//! Measures compiled BPF programs beside the same source as clang compiles it for this machine, beside rbpf, and beside Linux's own compiler.
//!
//! `just bench-jit` builds both forms of `samples.c` and starts this. Each sample runs in rounds, in each of which every engine has its
//! turn, so that a busy moment of the machine meets all of them; the smallest time of a round is what counts, the median beside it says how
//! quiet the machine was. Results are compared first: an engine that computes something else has no time.

mod linux;

use axiom_bpf_isa::Insn;
use axiom_bpf_jit::{Compiler, no_maps, x64};
use std::ffi::CString;
use std::path::Path;
use std::time::Instant;

const MEMORY: usize = 4096;
const ROUNDS: usize = 41;
/// A turn is as many runs as take about this long, in nanoseconds.
const TURN_NS: u128 = 200_000;

const SAMPLES: [&str; 12] = [
    "fir",
    "fnv",
    "crc",
    "median",
    "sieve",
    "biquad",
    "average",
    "threshold",
    "copy",
    "fib",
    "isqrt",
    "updates",
];

/// What the helper does, for all engines: a table of 64 numbers that is written.
extern "C" fn helper_update(
    _runtime: *mut u8,
    table: u64,
    key: u64,
    value: u64,
    _flags: u64,
    _unused: u64,
) -> u64 {
    // SAFETY: `table` is the benchmark's own table of 64 numbers; the index is cut to it.
    unsafe { (table as *mut u64).add(key as usize & 63).write_volatile(value) };
    0
}

fn rbpf_update(table: u64, key: u64, value: u64, flags: u64, unused: u64) -> u64 {
    helper_update(std::ptr::null_mut(), table, key, value, flags, unused)
}

extern "C" fn missing(_: *mut u8, _: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    unreachable!("the samples call one helper only")
}

/// Memory that may be executed, made from code once.
struct Code(*mut libc::c_void, usize);

impl Code {
    fn new(code: &[u8]) -> Code {
        let length = code.len().next_multiple_of(4096);
        // SAFETY: a new private mapping; the code is copied before it becomes executable, and never written again.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let p =
                libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            assert_ne!(p, libc::MAP_FAILED, "no memory for code");
            std::ptr::copy_nonoverlapping(code.as_ptr(), p.cast(), code.len());
            assert_eq!(libc::mprotect(p, length, libc::PROT_READ | libc::PROT_EXEC), 0);
            Code(p, length)
        }
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        // SAFETY: our own mapping; nobody runs it any more.
        unsafe { libc::munmap(self.0, self.1) };
    }
}

type Program = extern "C" fn(*const u8, *mut u8, u64) -> u64;
type Native = extern "C" fn(*mut u8) -> u64;
type Helper = extern "C" fn(*mut u8, u64, u64, u64, u64, u64) -> u64;

/// The library of native samples.
struct Library(*mut libc::c_void);

impl Library {
    fn open(path: &Path) -> Library {
        let name = CString::new(path.to_str().expect("a path in UTF-8")).expect("a path without zeros");
        // SAFETY: our own library, made by bench/jit/run; it has no constructors.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
        assert!(!handle.is_null(), "{} cannot be opened", path.display());
        let library = Library(handle);
        // SAFETY: the library's only variable, which nobody reads yet.
        unsafe { *library.symbol("samples_helper").cast::<Helper>() = helper_update };
        library
    }

    fn symbol(&self, name: &str) -> *mut libc::c_void {
        let text = CString::new(name).expect("a name without zeros");
        // SAFETY: the library is open.
        let symbol = unsafe { libc::dlsym(self.0, text.as_ptr()) };
        assert!(!symbol.is_null(), "the library has no {name}");
        symbol
    }

    fn sample(&self, name: &str) -> Native {
        // SAFETY: the library's samples have this signature.
        unsafe { std::mem::transmute::<*mut libc::c_void, Native>(self.symbol(name)) }
    }
}

/// One engine with one sample: what runs it once.
struct Engine<'a> {
    name: &'static str,
    run: Box<dyn Fn(*mut u8) -> u64 + 'a>,
    repeat: u32,
    times: Vec<f64>,
}

impl<'a> Engine<'a> {
    fn new(name: &'static str, run: impl Fn(*mut u8) -> u64 + 'a) -> Engine<'a> {
        Engine { name, run: Box::new(run), repeat: 1, times: Vec::new() }
    }

    /// Nanoseconds of a run, over a turn.
    fn turn(&mut self, memory: *mut u8) -> f64 {
        let start = Instant::now();
        for _ in 0..self.repeat {
            std::hint::black_box((self.run)(memory));
        }
        start.elapsed().as_nanos() as f64 / f64::from(self.repeat)
    }

    fn best(&self) -> f64 {
        self.times.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn median(&self) -> f64 {
        let mut sorted = self.times.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }
}

fn compiled(program: &[Insn], features: x64::Features) -> Vec<u8> {
    let mut code = vec![0; 1 << 16];
    let length = Compiler::new(features).compile(program, &no_maps, &mut code).expect("the sample compiles");
    code.truncate(length);
    code
}

/// The memory as every run finds it the first time.
fn fill(memory: &mut [u64], table: *mut u64) {
    let mut x = 0x9e37_79b9_7f4a_7c15u64;
    for word in memory.iter_mut() {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        *word = x;
    }
    memory[2048 / 8] = table as u64;
    // SAFETY: the caller's 64 numbers.
    unsafe { table.write_bytes(0, 64) };
}

fn main() {
    axiom_terminal::end_with_the_pipe();
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("started by bench/jit/run");
    let clang = arguments.next().expect("started by bench/jit/run");
    let Some(features) = x64::Features::of_this_machine() else {
        println!("bench-jit: this machine is no x86-64; for AArch64 see docs/src/programs.md");
        return;
    };
    let library = Library::open(&Path::new(&folder).join("samples.so"));
    let mut helpers: [Helper; 256] = [missing; 256];
    helpers[2] = helper_update;
    let runtime = helpers.as_ptr().cast::<u8>();
    let engines = ["clang -O2", "compiler", "no BMI2", "blinded", "rbpf"];
    println!("{clang}; BMI2: {}; {ROUNDS} rounds; ns per run, smallest (median)", features.bmi2);
    print!("{:10}", "");
    engines.iter().for_each(|e| print!("{e:>20}"));
    println!();
    let mut sums = [0.0f64; 5];
    let (mut by_linux, mut refused) = (Vec::new(), Vec::new());
    for name in SAMPLES {
        let read = |cpu: &str| {
            std::fs::read(Path::new(&folder).join(format!("{name}.{cpu}")))
                .expect("the sample's instructions")
        };
        let (bytes, bytes_v3) = (read("v4"), read("v3"));
        let program = axiom_bpf_isa::insn::decode_all(&bytes).expect("whole instructions");
        let mut table = [0u64; 64];
        let table_at = table.as_mut_ptr();
        let mut memory = vec![0u64; MEMORY / 8];
        fill(&mut memory, table_at);
        let native = library.sample(name);
        let blind = Some(0x1234_5678_9abc_def1);
        let codes =
            [features, x64::Features { bmi2: false, blind: None }, x64::Features { blind, ..features }]
                .map(|f| Code::new(&compiled(&program, f)));
        let [ours, plain, blinded] = codes.each_ref().map(|code| {
            // SAFETY: the compiler's code for this machine, of a program whose accesses stay in its 4 KiB.
            let f = unsafe { std::mem::transmute::<*mut libc::c_void, Program>(code.0) };
            move |m: *mut u8| f(runtime, m, MEMORY as u64)
        });
        let mut rbpf = rbpf::EbpfVmRaw::new(Some(&bytes_v3)).expect("rbpf takes the sample");
        rbpf.register_helper(2, rbpf_update).expect("rbpf takes the helper");
        rbpf.jit_compile().expect("rbpf compiles the sample");
        let by_rbpf = |m: *mut u8| {
            // SAFETY: the memory of the sample, which nobody else uses during the run.
            let slice = unsafe { std::slice::from_raw_parts_mut(m, MEMORY) };
            // SAFETY: as for our own code: the sample's accesses stay in its memory.
            unsafe { rbpf.execute_program_jit(slice) }.expect("rbpf runs the sample")
        };
        let mut all = [
            Engine::new(engines[0], move |m| native(m)),
            Engine::new(engines[1], ours),
            Engine::new(engines[2], plain),
            Engine::new(engines[3], blinded),
            Engine::new(engines[4], by_rbpf),
        ];
        // All compute the same, memory included.
        let mut expected = None;
        for engine in &all {
            fill(&mut memory, table_at);
            let r0 = (engine.run)(memory.as_mut_ptr().cast());
            // SAFETY: the table lives, and nobody writes it now.
            let table = unsafe { std::slice::from_raw_parts(table_at, 64) }.to_vec();
            let result = (r0, memory.clone(), table);
            assert!(
                *expected.get_or_insert_with(|| result.clone()) == result,
                "{name}: {} differs",
                engine.name
            );
        }
        for engine in &mut all {
            engine.repeat = 10;
            let first = engine.turn(memory.as_mut_ptr().cast()).max(1.0) as u128;
            engine.repeat = (TURN_NS / first).clamp(1, 1_000_000) as u32;
        }
        for _ in 0..ROUNDS {
            for engine in &mut all {
                let time = engine.turn(memory.as_mut_ptr().cast());
                engine.times.push(time);
            }
        }
        print!("{name:10}");
        for (engine, sum) in all.iter().zip(&mut sums) {
            print!("{:>11.1} ({:>6.1})", engine.best(), engine.median());
            *sum += (engine.best() / all[0].best()).ln();
        }
        // Linux's verifier knows the memory's size, and nothing of the helper that is ours.
        fill(&mut memory, table_at);
        let (r0, expected) = (expected.as_ref().map_or(0, |e| e.0), expected.as_ref().map(|e| &e.1));
        let measured = linux::Loaded::new(&bytes, MEMORY).and_then(|kernel| {
            let (result, _) = kernel.run(&mut memory, 1)?;
            assert!(result == r0 as u32 && Some(&memory) == expected, "{name}: Linux differs");
            let times = (TURN_NS / all[1].best().max(1.0) as u128).clamp(1, 1_000_000) as u32;
            let mut best = f64::INFINITY;
            for _ in 0..ROUNDS {
                best = best.min(kernel.run(&mut memory, times)?.1);
            }
            Ok(best)
        });
        match measured {
            // The kernel counts whole nanoseconds.
            Ok(best) => by_linux.push((name, best, best / all[0].best())),
            Err(error) => refused.push((name, error)),
        }
        let ratio = all[1].best() / all[0].best();
        println!("   {ratio:.2} x");
    }
    print!("{:10}", "geom. mean");
    sums.iter().for_each(|s| print!("{:>18.2} x", (s / SAMPLES.len() as f64).exp()));
    println!();
    let on = std::fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").unwrap_or_default();
    if on.trim() == "0" {
        println!(
            "Linux's own compiler is switched off on this machine (net.core.bpf_jit_enable): these times are its interpreter's"
        );
    }
    for (name, best, ratio) in &by_linux {
        println!("Linux's bpf(): {name:10}{best:>9.0} ns {ratio:>6.2} x clang");
    }
    for (name, error) in &refused {
        println!("Linux's bpf(): {name:10} NOT MEASURED: {error}");
    }
    if !by_linux.is_empty() {
        let mean = by_linux.iter().map(|m| m.2.ln()).sum::<f64>() / by_linux.len() as f64;
        println!("Linux's bpf(): geometric mean of {}: {:.2} x clang", by_linux.len(), mean.exp());
    }
}
