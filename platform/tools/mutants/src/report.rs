//! Which mutants are tried, and what is told in the end.
use crate::Options;
use crate::compile::Built;
use crate::run::Outcome;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The mutants to try: all, those that are named, or a sample.
pub fn choose(built: &Built, options: &Options) -> Result<Vec<u32>, String> {
    let name = |id: &u32| built.mutants[*id as usize - 1].name.as_str();
    let mut all: Vec<u32> = built.sites.keys().copied().collect();
    if let Some(path) = &options.names {
        let wanted = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let wanted: Vec<&str> = wanted.lines().filter(|line| !line.is_empty()).collect();
        all.retain(|id| wanted.iter().any(|wanted| name(id).starts_with(wanted)));
    }
    if let Some(count) = options.sample {
        let place = |id: &u32| {
            let mut hasher = DefaultHasher::new();
            (options.seed, name(id)).hash(&mut hasher);
            hasher.finish()
        };
        all.sort_by_cached_key(place);
        all = all.into_iter().skip(options.after).take(count).collect();
    }
    if all.is_empty() {
        return Err("no mutant is chosen".into());
    }
    Ok(all)
}

/// Writes the lists, prints the figures; whether enough were noticed.
pub fn tell(built: &Built, outcomes: &BTreeMap<u32, Outcome>, options: &Options) -> Result<bool, String> {
    let name = |id: u32| &built.mutants[id as usize - 1].name;
    let (mut list, mut missed) = (String::new(), String::new());
    let mut files: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for (id, outcome) in outcomes {
        let unnoticed = !outcome.is_noticed();
        files.entry(&built.mutants[*id as usize - 1].file).or_default()[usize::from(unnoticed)] += 1;
        line(&mut list, &format!("{outcome:?}\t{}", name(*id)));
        if unnoticed {
            line(&mut missed, name(*id));
        }
    }
    built.unviable.iter().for_each(|id| line(&mut list, &format!("Unviable\t{}", name(*id))));
    built.left.iter().for_each(|(id, why)| line(&mut list, &format!("Left: {why}\t{}", name(*id))));
    built.elsewhere.iter().for_each(|id| line(&mut list, &format!("Not compiled\t{}", name(*id))));
    for (file, text) in [("outcomes.txt", list), ("missed.txt", missed)] {
        let path = options.output.join(file);
        std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    println!("noticed  missed  file");
    for (file, [noticed, missed]) in &files {
        println!("{noticed:7} {missed:7}  {file}");
    }
    let of = |which: Outcome| outcomes.values().filter(|outcome| **outcome == which).count();
    let (tests, late) = (of(Outcome::Noticed), of(Outcome::TimedOut));
    let rate = 100.0 * (tests + late) as f64 / outcomes.len() as f64;
    println!(
        "{}: {} of {} mutants noticed ({rate:.1} %), {late} of them by time; {} missed, {} of them where no test comes by",
        options.package,
        tests + late,
        outcomes.len(),
        outcomes.len() - tests - late,
        of(Outcome::NeverPassed)
    );
    println!(
        "{} are unviable, {} are left to `cargo mutants`, {} are in files of another architecture; lists: {}",
        built.unviable.len(),
        built.left.len(),
        built.elsewhere.len(),
        options.output.display()
    );
    Ok(rate >= options.least)
}

fn line(list: &mut String, text: &str) {
    writeln!(list, "{text}").expect("a string takes every line");
}
