//! All states that a scene can reach, breadth first: every call of every thread that may run, cut off at each of its preemption points,
//! with the others' steps in between; the invariants after each.
extern crate std;
use super::scene::{Scene, State, Step};
use std::boxed::Box;
use std::collections::HashSet;
use std::format;
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

/// How far a search went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extent {
    pub states: usize,
    pub steps: usize,
    /// States of this depth were all visited.
    pub depth: usize,
    /// No state is left out.
    pub complete: bool,
}

/// A fault and the way to it.
pub struct Found {
    pub what: String,
    pub way: Vec<String>,
    pub extent: Extent,
}

struct Way {
    step: Step,
    before: Option<Rc<Way>>,
}

fn told(scene: &Scene, way: Option<&Rc<Way>>) -> Vec<String> {
    let mut steps: Vec<String> = std::iter::successors(way, |way| way.before.as_ref())
        .map(|way| match &way.step {
            Step::Call { thread, call: Some(call), at } => {
                format!("thread {thread}, preempted at {at:?}: {:?}", scene.menu[*call])
            }
            Step::Late { time, call } => format!("after {time} ticks: {:?}", scene.menu[*call]),
            Step::Long { call: Some(call), at, time, pending } => {
                format!("{time} ticks up to point {at}, interrupt {pending}: {:?}", scene.menu[*call])
            }
            step => format!("{step:?}"),
        })
        .collect();
    steps.reverse();
    steps
}

fn fingerprint(state: &State) -> u128 {
    let (mut a, mut b) = (0x9e37_79b9_7f4a_7c15_u64, 0xc2b2_ae3d_27d4_eb4f_u64);
    let faults = state.faults.iter().flat_map(|(i, fault)| format!("{i}{fault:?}").into_bytes());
    let words = state.words.iter().flat_map(|(i, w)| [u64::from(*i), *w]);
    for w in words.chain(faults.map(u64::from)) {
        a = (a ^ w).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29) ^ b;
        b = (b.rotate_left(17) ^ w).wrapping_mul(0xc4ce_b9fe_1a85_ec53) ^ (a >> 31);
    }
    u128::from(a) << 64 | u128::from(b ^ (b >> 33))
}

/// Searches from the start of a scene, at most `limit` states. `also` is what must hold besides the invariants.
pub fn search(
    scene: &Scene,
    limit: usize,
    also: impl Fn(&Scene) -> Result<(), String>,
) -> Result<Extent, Box<Found>> {
    let mut known = HashSet::new();
    let mut extent = Extent::default();
    let start = scene.state();
    known.insert(fingerprint(&start));
    let mut level: Vec<(State, Option<Rc<Way>>)> = Vec::from([(start, None)]);
    let failed = |scene: &Scene, what, way: Option<&Rc<Way>>, extent| {
        Box::new(Found { what, way: told(scene, way), extent })
    };
    let judge = |scene: &Scene| scene.check().and_then(|()| also(scene));
    judge(scene).map_err(|what| failed(scene, what, None, extent))?;
    while !level.is_empty() {
        let mut next = Vec::new();
        for (state, way) in &level {
            scene.load(state);
            let mut todo = scene.steps();
            while let Some(step) = todo.pop() {
                scene.load(state);
                extent.steps += 1;
                extent.states = known.len();
                let way = Some(Rc::new(Way { step: step.clone(), before: way.clone() }));
                let taken = scene.take(&step).and_then(|points| judge(scene).map(|()| points));
                let points = taken.map_err(|what| failed(scene, what, way.as_ref(), extent))?;
                cut_off(scene, &step, points, &mut todo);
                let after = scene.state();
                if known.insert(fingerprint(&after)) {
                    next.push((after, way));
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
    extent.complete = level.is_empty();
    Ok(extent)
}

/// The same step, preempted at each of the points that it passed.
fn cut_off(scene: &Scene, step: &Step, points: u64, todo: &mut Vec<Step>) {
    let Step::Call { thread, call, at: None } = *step else { return };
    for at in 0..points {
        if scene.any_next {
            todo.push(Step::Call { thread, call, at: Some(at) });
            continue;
        }
        for (time, pending) in scene.pieces.iter().flat_map(|time| [(*time, false), (*time, true)]) {
            todo.push(Step::Long { call, at, time, pending });
        }
    }
}
