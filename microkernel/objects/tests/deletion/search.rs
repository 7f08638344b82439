//! All states that a world can reach: breadth first, every operation of every thread from every state, and a deletion cut off
//! at each of its preemption points.
use crate::checker::{self, Report};
use crate::subject::{self, Long};
use crate::world::{Op, Spec, World};
use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

/// How far a search went.
#[derive(Default, Debug, Clone, Copy)]
pub struct Extent {
    pub states: usize,
    pub steps: usize,
    pub depth: usize,
    /// All states were reached; otherwise the limit of states was.
    pub complete: bool,
    /// Most steps of one deletion, and the bound where that was.
    pub longest: (u64, u64),
}

/// A fault and the way to it.
#[derive(Debug)]
#[expect(dead_code, reason = "a test that fails prints it with `Debug`")]
pub struct Found {
    pub what: String,
    pub way: Vec<String>,
    pub extent: Extent,
}

struct Way {
    step: (Op, u64),
    before: Option<Rc<Way>>,
}

fn told(way: &Option<Rc<Way>>) -> Vec<String> {
    let mut steps: Vec<String> = std::iter::successors(way.as_ref(), |w| w.before.as_ref())
        .map(|w| match w.step {
            (op @ Op::Long(..), n) => format!("{op:?}, {n} steps"),
            (op, _) => format!("{op:?}"),
        })
        .collect();
    steps.reverse();
    steps
}

fn fingerprint(words: &[u64]) -> u128 {
    let (mut a, mut b) = (0x9e37_79b9_7f4a_7c15_u64, 0xc2b2_ae3d_27d4_eb4f_u64);
    for w in words {
        a = (a ^ w).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29) ^ b;
        b = (b.rotate_left(17) ^ w).wrapping_mul(0xc4ce_b9fe_1a85_ec53) ^ (a >> 31);
    }
    u128::from(a) << 64 | u128::from(b ^ (b >> 33))
}

type State = (Box<[u64]>, Option<Rc<Way>>);

/// Searches all states from the start that the specification describes, at most `limit`.
pub fn search(spec: &Spec, limit: usize) -> Result<Extent, Box<Found>> {
    let world = Rc::new(World::new(spec.clone()));
    let mut known = HashSet::new();
    let mut extent = Extent::default();
    let start = world.save();
    known.insert(fingerprint(&start));
    let mut level: Vec<State> = vec![(start, None)];
    let fail = |what: String, way: &Option<Rc<Way>>, extent: Extent| {
        Box::new(Found { what, way: told(way), extent })
    };
    checker::check(&world).map_err(|what| fail(what, &None, extent))?;
    while !level.is_empty() {
        let mut next: Vec<State> = Vec::new();
        for (state, way) in &level {
            world.load(state);
            let before = checker::check(&world).map_err(|what| fail(what, way, extent))?;
            for op in world.ops() {
                world.load(state);
                let after = successors(&world, op, &before, &mut extent);
                extent.states = known.len();
                for (steps, outcome) in after {
                    let way = Some(Rc::new(Way { step: (op, steps), before: way.clone() }));
                    let state = outcome.map_err(|what| fail(what, &way, extent))?;
                    if known.insert(fingerprint(&state)) {
                        next.push((state, way));
                    }
                }
            }
            if known.len() >= limit {
                extent.states = known.len();
                return Ok(extent);
            }
        }
        extent.depth += usize::from(!next.is_empty());
        level = next;
    }
    extent.states = known.len();
    extent.complete = true;
    Ok(extent)
}

type Outcome = (u64, Result<Box<[u64]>, String>);

/// The states after an operation: for a deletion one for each preemption point, and the one after its end.
fn successors(world: &Rc<World>, op: Op, before: &Report, extent: &mut Extent) -> Vec<Outcome> {
    let Op::Long(long, index) = op else {
        world.apply(op);
        extent.steps += 1;
        return vec![(1, checker::check(world).map(|_| world.save()))];
    };
    let target = world.slots().nth(index).expect("the operation names a slot");
    let revoke = long == Long::Revoke;
    let bound = before.bound(world, target.addr(), revoke);
    let run = Rc::new(RefCell::new((Vec::<Outcome>::new(), before.measure)));
    let at_point = {
        let (run, world) = (run.clone(), world.clone());
        move || {
            let mut run = run.borrow_mut();
            let steps = run.0.len() as u64 + 1;
            let outcome = checker::check(&world).and_then(|now| {
                let fell = now.measure < run.1 || (revoke && now.measure == run.1);
                if steps > bound {
                    return Err(format!("not done after {steps} steps; the bound is {bound}"));
                }
                if subject::HAS_MEASURE && !fell {
                    return Err(format!("the measure does not fall: {:?}, then {:?}", run.1, now.measure));
                }
                run.1 = now.measure;
                Ok(world.save())
            });
            let good = outcome.is_ok();
            run.0.push((steps, outcome));
            good
        }
    };
    let done = subject::run(&world.machine, long, target, Rc::new(at_point));
    let mut outcomes = std::mem::take(&mut run.borrow_mut().0);
    extent.steps += outcomes.len() + 1;
    if done {
        let steps = outcomes.len() as u64 + 1;
        if steps > extent.longest.0 {
            extent.longest = (steps, bound);
        }
        let last =
            checker::check(world).and_then(|now| match now.left_over(before, world, target.addr(), revoke) {
                Some(left) => Err(format!("{long:?} says that it is done, but {left}")),
                None if steps > bound + 1 => Err(format!("done after {steps} steps; the bound is {bound}")),
                None => Ok(world.save()),
            });
        outcomes.push((steps, last));
    }
    outcomes
}
