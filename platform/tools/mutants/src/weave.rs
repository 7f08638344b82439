//! A source file with its mutants as branches.
//!
//! - A function's value: `{ if crate::woven::at(SITE) == N { return VALUE; } ...`.
//! - An arm: `PATTERN if crate::woven::at(SITE) != N => ...`.
//! - Everything else: the innermost expression around the change becomes `(match crate::woven::at(SITE) { N => (CHANGED), ..., _ => (AS IT
//!   WAS) })`, and the same is done inside of what was.
//!
//! Nothing else of the text changes, except that a `const fn` with branches is an ordinary one: a constant cannot ask which mutant is chosen.
use crate::list::{Genre, Mutant};
use crate::sites::{self, Sites};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Why a mutant is no branch.
pub const CONSTANT: &str = "the compiler needs its value";
pub const CHAIN: &str = "names are bound in a chain of conditions";
/// Not a program, and so no mutant.
pub const NEEDED: &str = "without the arm, the match is not complete";
pub const PLACE: &str = "no place for a branch was found";
/// What a function that returns `impl Trait` returns.
pub const OPAQUE: &str = "in a function that returns some type of a trait, which has one value here";

/// A file with branches.
pub struct Woven {
    pub text: String,
    /// Where the text of each mutant is in it; the last place is the narrowest.
    pub places: Vec<(Range<usize>, u32)>,
    /// The site of each mutant that is in it.
    pub sites: Vec<(u32, u32)>,
    /// Mutants that are no branches, and why.
    pub left: Vec<(u32, &'static str)>,
}

#[derive(Default)]
struct Plan {
    /// Around an expression: its mutants.
    around: BTreeMap<(usize, Reverse<usize>), Vec<u32>>,
    /// At a byte, what is put there, and whose it is.
    inserted: BTreeMap<usize, Vec<(String, u32)>>,
    removed: Vec<Range<usize>>,
}

/// Weaves a file's mutants, whose numbers are given; functions named in `stay_constant` keep their `const` and get no branches.
pub fn weave(
    text: &str,
    mutants: &[(u32, &Mutant)],
    stay_constant: &BTreeSet<String>,
    first_site: u32,
) -> Result<Woven, String> {
    let places = sites::find(text)?;
    let mut plan = Plan::default();
    let mut woven = Woven { text: String::new(), places: Vec::new(), sites: Vec::new(), left: Vec::new() };
    for (id, mutant) in mutants {
        let body = places
            .bodies
            .iter()
            .filter(|body| contains(&body.block, &mutant.span))
            .min_by_key(|body| body.block.len());
        if let Some(constant) = body.and_then(|body| body.constant.clone()) {
            if body.is_some_and(|body| stay_constant.contains(&body.name)) {
                woven.left.push((*id, CONSTANT));
                continue;
            }
            if !plan.removed.contains(&constant) {
                plan.removed.push(constant);
            }
        }
        let site = first_site + woven.sites.len() as u32;
        if let Err(why) = plan.add(&places, *id, site, mutant, body) {
            woven.left.push((*id, why));
        } else {
            woven.sites.push((*id, site));
        }
    }
    // One site for all mutants of an expression: that of the first.
    let by_id: BTreeMap<u32, u32> = woven.sites.iter().copied().collect();
    for group in plan.around.values() {
        for (id, site) in &mut woven.sites {
            if group.contains(id) {
                *site = by_id[&group[0]];
            }
        }
    }
    let mut out = Out {
        text,
        plan: &plan,
        mutants: mutants.iter().copied().collect(),
        sites: woven.sites.iter().copied().collect(),
        woven: &mut woven,
    };
    out.range(0..text.len(), None);
    Ok(woven)
}

fn contains(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

impl Plan {
    fn add(
        &mut self,
        places: &Sites,
        id: u32,
        site: u32,
        mutant: &Mutant,
        body: Option<&sites::Body>,
    ) -> Result<(), &'static str> {
        match mutant.genre {
            Genre::FnValue => {
                let body = body.ok_or(PLACE)?;
                if body.opaque {
                    return Err(OPAQUE);
                }
                let branch =
                    format!(" if crate::woven::at({site}) == {id} {{ return {}; }}", mutant.replacement);
                self.insert(body.block.start + 1, branch, id);
            }
            Genre::MatchArm => {
                let arm = places
                    .arms
                    .iter()
                    .filter(|arm| contains(&arm.whole, &mutant.span))
                    .min_by_key(|arm| arm.whole.len());
                let arm = arm.ok_or(PLACE)?;
                match &arm.guard {
                    _ if arm.needed => return Err(NEEDED),
                    _ if arm.guard_binds => return Err(CHAIN),
                    Some(guard) => {
                        self.insert(guard.start, format!(" crate::woven::at({site}) != {id} && ("), id);
                        self.insert(guard.end, ")".into(), id);
                    }
                    None => self.insert(arm.pattern_end, format!(" if crate::woven::at({site}) != {id}"), id),
                }
            }
            Genre::Expression => {
                let around = places.expressions.iter().filter(|expr| contains(&expr.range, &mutant.span));
                let expr = around.min_by_key(|expr| expr.range.len()).ok_or(PLACE)?;
                if expr.constant {
                    return Err(CONSTANT);
                }
                if expr.binds {
                    return Err(CHAIN);
                }
                let key = (expr.range.start, Reverse(expr.range.end));
                self.around.entry(key).or_default().push(id);
            }
        }
        Ok(())
    }

    fn insert(&mut self, at: usize, what: String, id: u32) {
        self.inserted.entry(at).or_default().push((what, id));
    }
}

struct Out<'a> {
    text: &'a str,
    plan: &'a Plan,
    mutants: BTreeMap<u32, &'a Mutant>,
    sites: BTreeMap<u32, u32>,
    woven: &'a mut Woven,
}

impl Out<'_> {
    /// Writes what was in `range`, with branches; `inside` is the expression that is being written, which has its branches already.
    fn range(&mut self, range: Range<usize>, inside: Option<(usize, usize)>) {
        let mut at = range.start;
        while at < range.end {
            // At its first byte, whoever writes the expression was there already.
            if inside.is_none_or(|(start, _)| start != at) {
                self.insertions(at);
            }
            let plan = self.plan;
            let next = plan.around.range((at, Reverse(usize::MAX))..);
            let mut next = next.map(|((start, end), ids)| (*start, end.0, ids));
            // The widest at this byte that is not the one being written, nor around it.
            let next = next.find(|(start, end, _)| {
                *end <= range.end && inside.is_none_or(|(s, e)| *start > s || (*start == s && *end < e))
            });
            if let Some((start, end, ids)) = next
                && start == at
            {
                self.branches(start..end, ids);
                at = end;
                continue;
            }
            let stop = next.map_or(range.end, |(start, ..)| start.min(range.end));
            let insertion = self.plan.inserted.range(at + 1..).next().map_or(stop, |(byte, _)| *byte);
            let stop = stop.min(insertion);
            self.plain(at..stop);
            at = stop;
        }
        if inside.is_none() {
            self.insertions(range.end);
        }
    }

    fn branches(&mut self, range: Range<usize>, ids: &[u32]) {
        let site = self.sites[&ids[0]];
        self.woven.text.push_str(&format!("(match crate::woven::at({site}) {{ "));
        for id in ids {
            let span = self.mutants[id].span.clone();
            let from = self.woven.text.len();
            self.woven.text.push_str(&format!("{id} => ("));
            self.woven.text.push_str(&self.text[range.start..span.start]);
            self.woven.text.push_str(&self.mutants[id].replacement);
            self.woven.text.push_str(&self.text[span.end..range.end]);
            self.woven.text.push_str("), ");
            self.woven.places.push((from..self.woven.text.len(), *id));
        }
        self.woven.text.push_str("_ => (");
        self.range(range.clone(), Some((range.start, range.end)));
        self.woven.text.push_str(") })");
    }

    fn insertions(&mut self, at: usize) {
        for (what, id) in self.plan.inserted.get(&at).map_or(&[][..], |list| list) {
            let from = self.woven.text.len();
            self.woven.text.push_str(what);
            self.woven.places.push((from..self.woven.text.len(), *id));
        }
    }

    fn plain(&mut self, range: Range<usize>) {
        let mut at = range.start;
        for gone in self.plan.removed.iter().filter(|gone| contains(&range, gone)) {
            self.woven.text.push_str(&self.text[at..gone.start]);
            at = gone.end;
        }
        self.woven.text.push_str(&self.text[at..range.end]);
    }
}
