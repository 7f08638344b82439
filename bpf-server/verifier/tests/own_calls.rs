//! Calls of Axiom's own helpers: every call that a run makes is among those that the verifier lists, with the same constants
//! or none. Whoever checks the list against grants may rely on that: a constant that was not seen cannot happen.
mod common;
use axiom_bpf_interp::{Memory, Size, Stack, World, run};
use axiom_bpf_isa::{Insn, ProgramKind, helper};
use axiom_bpf_verifier::{Env, Limits, OwnCall, Program, Verifier};
use common::{EXIT, i};

const HELPERS: [u32; 4] = [helper::GPIO_GET, helper::GPIO_SET, helper::PWM_SET, helper::MOTOR_EMERGENCY_STOP];
const CONTEXT: usize = 24;

fn env(kind: ProgramKind) -> Env<'static> {
    let limits = Limits::default();
    Env { maps: &[], contents: &[], ctx: kind.layout(), helpers: Some(kind.helpers()), limits }
}

fn own_calls(code: &[Insn]) -> Result<Vec<OwnCall>, String> {
    let program = Program { insns: code, lines: None };
    let accepted = Verifier::new().verify(&program, &env(ProgramKind::Gpio)).map_err(|r| r.to_string())?;
    Ok(accepted.own_calls)
}

const fn mov(r: u8, n: i32) -> Insn {
    i(0xb7, r, 0, 0, n)
}
const fn call(id: u32) -> Insn {
    i(0x85, 0, 0, 0, id as i32)
}
#[test]
fn constants_are_listed_as_they_are() {
    let code = [mov(1, 0), mov(2, 17), mov(3, 1), call(helper::GPIO_SET), mov(0, 0), EXIT];
    let expected = OwnCall { insn: 3, helper: helper::GPIO_SET, args: [Some(0), Some(17)] };
    assert_eq!(own_calls(&code), Ok(vec![expected]));
}

#[test]
fn a_number_from_the_context_is_none() {
    // r2 = event->line
    let code = [i(0x61, 2, 1, 12, 0), mov(1, 0), mov(3, 1), call(helper::GPIO_SET), mov(0, 0), EXIT];
    let expected = OwnCall { insn: 3, helper: helper::GPIO_SET, args: [Some(0), None] };
    assert_eq!(own_calls(&code), Ok(vec![expected]));
}

#[test]
fn programs_on_samples_and_timers_do_not_have_these_helpers() {
    for kind in [ProgramKind::Iio, ProgramKind::Timer] {
        for id in HELPERS {
            let code = [mov(1, 0), mov(2, 0), mov(3, 0), call(id), mov(0, 0), EXIT];
            let refusal =
                Verifier::new().verify(&Program { insns: &code, lines: None }, &env(kind)).unwrap_err();
            let expected = format!("(helper {id}) is not there for programs of this kind");
            assert!(refusal.to_string().contains(&expected), "{refusal}");
        }
    }
}

#[test]
fn programs_on_lines_do_not_print() {
    let code = [mov(1, 0), mov(2, 0), call(helper::TRACE_PRINTK), mov(0, 0), EXIT];
    let refusal = own_calls(&code).unwrap_err();
    assert!(
        refusal.contains("bpf_trace_printk (helper 6) is not there for programs of this kind"),
        "{refusal}"
    );
}

#[test]
fn an_address_is_no_number_for_these_helpers() {
    let code = [i(0xbf, 2, 1, 0, 0), mov(1, 0), call(helper::GPIO_GET), mov(0, 0), EXIT];
    let refusal = own_calls(&code).unwrap_err();
    assert!(
        refusal.contains("bpf_gpio_get: argument 2 (r2) must be a number, and is the address of the context"),
        "{refusal}"
    );
}

/// What a run sees: the context, and who calls what.
struct Watched {
    context: [u8; CONTEXT],
    calls: Vec<(u32, [u64; 2])>,
    answers: u64,
}

impl Memory for Watched {
    fn load(&mut self, address: u64, size: Size) -> Option<u64> {
        let at = address.checked_sub(self.context.as_ptr() as u64)? as usize;
        let bytes = self.context.get(at..at + size as usize)?;
        Some(bytes.iter().rev().fold(0, |v, b| v << 8 | u64::from(*b)))
    }
    fn store(&mut self, _: u64, _: Size, _: u64) -> Option<()> {
        None
    }
}

impl World for Watched {
    fn helper(&mut self, id: u64, args: [u64; 5]) -> Option<u64> {
        self.calls.push((id as u32, [args[0], args[1]]));
        self.answers = self.answers.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        Some(self.answers >> 60)
    }
    fn resolve(&self, _: u8, _: i32, _: i32) -> Option<u64> {
        None
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 20) % n
    }
    fn small(&mut self) -> i32 {
        self.below(8) as i32
    }
}

/// Branches on the context and on answers, registers that take one of several constants, bounded loops, a function.
fn program(r: &mut Random) -> Vec<Insn> {
    let mut code = vec![i(0x61, 6, 1, 8, 0), mov(7, r.small()), mov(8, r.small()), mov(9, 0)];
    let blocks = 2 + r.below(6);
    for _ in 0..blocks {
        match r.below(5) {
            // r7 or r8 takes another constant on one way.
            0 => {
                let (d, k) = (7 + r.below(2) as u8, r.small());
                code.extend([i(0x25, 6, 0, 1, k), mov(d, r.small())]);
            }
            1 => code.push(i(0x07, 7 + r.below(2) as u8, 0, 0, r.small())),
            // A loop whose counter is an argument.
            2 => {
                let turns = 1 + r.small();
                code.extend([mov(9, 0), mov(1, 0), i(0xbf, 2, 9, 0, 0), mov(3, 1), call(helper::GPIO_SET)]);
                code.extend([i(0x07, 9, 0, 0, 1), i(0xa5, 9, 0, -6, turns)]);
            }
            // An answer becomes an argument.
            3 => {
                code.extend([
                    i(0xbf, 1, 8, 0, 0),
                    i(0xbf, 2, 7, 0, 0),
                    call(helper::GPIO_GET),
                    i(0xbf, 7, 0, 0, 0),
                ]);
                code.push(i(0x57, 7, 0, 0, 7));
            }
            _ => {
                let id = HELPERS[r.below(4) as usize];
                let by_register = r.below(3) > 0;
                code.push(if by_register { i(0xbf, 1, 8, 0, 0) } else { mov(1, r.small()) });
                code.push(if r.below(3) > 0 { i(0xbf, 2, 7, 0, 0) } else { mov(2, r.small()) });
                code.extend([mov(3, 1), call(id)]);
            }
        }
    }
    // A function drives what it is given: called twice with different numbers.
    let calls = r.below(3);
    let mut patch = Vec::new();
    for _ in 0..calls {
        code.extend([
            mov(1, r.small()),
            if r.below(2) == 0 { mov(2, r.small()) } else { i(0xbf, 2, 7, 0, 0) },
        ]);
        patch.push(code.len());
        code.push(i(0x85, 0, 1, 0, 0));
    }
    code.extend([mov(0, 0), EXIT]);
    for at in patch {
        code[at].imm = code.len() as i32 - at as i32 - 1;
    }
    if calls > 0 {
        code.extend([mov(3, 1), call(helper::PWM_SET), mov(0, 0), EXIT]);
    }
    code
}

#[test]
fn every_call_of_a_run_is_among_those_that_were_listed() {
    let (mut accepted, mut seen) = (0, 0);
    for seed in 1..4000u64 {
        let mut r = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let code = program(&mut r);
        let Ok(listed) = own_calls(&code) else { continue };
        accepted += 1;
        for value in [0u32, 1, 3, 7, 9, 200] {
            let mut context = [0; CONTEXT];
            context[8..12].copy_from_slice(&value.to_le_bytes());
            let mut world = Watched { context, calls: Vec::new(), answers: seed };
            let start = world.context.as_ptr() as u64;
            let ran = run(&code, &mut world, &mut Stack::default(), start, CONTEXT as u64, &mut 100_000);
            // The context lies in `world`, which the interpreter borrows: it has not moved.
            assert_eq!(ran, Ok(0), "seed {seed}: {code:?}");
            seen += world.calls.len();
            for (id, args) in world.calls {
                let covers = |l: &OwnCall| {
                    l.helper == id
                        && l.args.iter().zip(args).all(|(listed, actual)| listed.is_none_or(|v| v == actual))
                };
                assert!(
                    listed.iter().any(covers),
                    "seed {seed}: helper {id:#x} {args:?} is not in {listed:?}"
                );
            }
        }
    }
    assert!(
        accepted > 3000 && seen > 20_000,
        "the programs test too little: {accepted} accepted, {seen} calls"
    );
}
