//! Runs tests on mutants: which tests pass a site is found once, then each mutant meets those, the quickest first.
//!
//! A mutant is noticed when a test fails, crashes, or takes far longer than it should. Quick tests run several to a process.
use crate::compile::Built;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What became of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Noticed,
    /// A test takes far longer than it should.
    TimedOut,
    Missed,
    /// Missed, and no test even passes its place.
    NeverPassed,
}

/// A test, with what it costs and where it passes.
struct Test {
    program: PathBuf,
    name: String,
    time: Duration,
    sites: BTreeSet<u32>,
}

/// Tests that take no longer than this together share a process.
const TOGETHER: Duration = Duration::from_millis(150);
/// Time of a core that a test may take without a mutant.
const LONGEST: Duration = Duration::from_secs(1200);
/// Memory that a mutant may take before it is stopped, in KiB.
const MEMORY: &str = "6000000";

/// The outcome of each chosen mutant.
pub fn all(
    built: &Built,
    chosen: &[u32],
    output: &Path,
    jobs: usize,
) -> Result<BTreeMap<u32, Outcome>, String> {
    let tests = tests(built, output)?;
    let total: Duration = tests.iter().map(|test| test.time).sum();
    println!("{} tests, {:.1} s in turn; {} mutants to try", tests.len(), total.as_secs_f64(), chosen.len());
    for test in tests.iter().rev().take(5).filter(|test| test.time > TOGETHER) {
        println!("{:6.1} s  {}", test.time.as_secs_f64(), test.name);
    }
    let passed: BTreeSet<u32> = tests.iter().flat_map(|test| test.sites.iter().copied()).collect();
    let untried = built.sites.iter().filter(|(_, site)| !passed.contains(site));
    let untried: String =
        untried.map(|(id, _)| format!("{}\n", built.mutants[*id as usize - 1].name)).collect();
    let path = output.join("untried.txt");
    std::fs::write(&path, &untried).map_err(|e| format!("{}: {e}", path.display()))?;
    println!("of all mutants, {} are where no test comes by: {}", untried.lines().count(), path.display());
    let (next, outcomes, begun) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()), Instant::now());
    let work = || -> Result<(), String> {
        while let Some(id) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = one(built, &tests, *id)?;
            let mut outcomes = outcomes.lock().map_err(|_| "another job failed")?;
            outcomes.insert(*id, outcome);
            if matches!(outcome, Outcome::Missed | Outcome::NeverPassed) {
                let name = &built.mutants[*id as usize - 1].name;
                println!("{} {name}", if outcome == Outcome::Missed { "MISSED " } else { "UNTRIED" });
            }
            if outcomes.len() % 200 == 0 {
                println!("{} of {} in {} s", outcomes.len(), chosen.len(), begun.elapsed().as_secs());
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let jobs: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        jobs.into_iter().try_for_each(|job| job.join().map_err(|_| "a job panicked".to_string())?)
    })?;
    println!("tried in {} s", begun.elapsed().as_secs());
    outcomes.into_inner().map_err(|_| "a job panicked".into())
}

/// All tests, the quickest first; each passes without a mutant.
fn tests(built: &Built, output: &Path) -> Result<Vec<Test>, String> {
    let mut tests = Vec::new();
    let trace = output.join("trace");
    for program in &built.programs {
        let listed = Command::new(program)
            .args(["--list", "--format", "terse"])
            .current_dir(&built.folder)
            .output()
            .map_err(|e| format!("{}: {e}", program.display()))?;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        for name in listed.lines().filter_map(|line| line.strip_suffix(": test")) {
            let mut ignored = std::fs::remove_file(&trace);
            if ignored.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
                ignored = Ok(());
            }
            ignored.map_err(|e| format!("{}: {e}", trace.display()))?;
            // Noting where it passes takes time, so it runs once more without.
            let mut traced = command(built, program, &[name], LONGEST);
            traced.env("AXIOM_MUTANT_TRACE", &trace);
            let ((true, _), (true, time)) = (run(traced)?, run(command(built, program, &[name], LONGEST))?)
            else {
                return Err(format!("{name} fails without a mutant: mend it first ({})", program.display()));
            };
            let sites = std::fs::read_to_string(&trace).unwrap_or_default();
            let sites = sites.lines().filter_map(|line| line.parse().ok()).collect();
            tests.push(Test { program: program.clone(), name: name.into(), time, sites });
        }
    }
    tests.sort_by_key(|test| test.time);
    Ok(tests)
}

fn one(built: &Built, tests: &[Test], id: u32) -> Result<Outcome, String> {
    let site = built.sites[&id];
    let mut rest = tests.iter().filter(|test| test.sites.contains(&site)).peekable();
    if rest.peek().is_none() {
        return Ok(Outcome::NeverPassed);
    }
    while let Some(first) = rest.next() {
        let (mut names, mut time) = (vec![first.name.as_str()], first.time);
        while let Some(test) = rest.peek()
            && test.program == first.program
            && time + test.time <= TOGETHER
        {
            names.push(&test.name);
            time += test.time;
            rest.next();
        }
        let most = Duration::from_secs(2) + 4 * time;
        let mut command = command(built, &first.program, &names, most);
        command.env("AXIOM_MUTANT", id.to_string());
        match run(command)? {
            (true, _) => {}
            (false, took) if took >= most => return Ok(Outcome::TimedOut),
            (false, _) => return Ok(Outcome::Noticed),
        }
    }
    Ok(Outcome::Missed)
}

/// Tests of a program, which may use so much time of a core. The shell tells how much it was.
fn command(built: &Built, program: &Path, names: &[&str], most: Duration) -> Command {
    let mut command = Command::new("sh");
    let most = most.as_secs_f64().ceil();
    let script =
        format!("ulimit -v {MEMORY}; ulimit -t {most}; \"$0\" \"$@\" >&2; passed=$?; times; exit $passed");
    command.args(["-c", &script]).arg(program);
    command.args(["--exact", "--test-threads", "1"]).args(names);
    command.current_dir(&built.folder).env_remove("RUST_BACKTRACE");
    // A test that draws samples draws the same ones each time, and does not look for a smaller one that fails.
    command.env("PROPTEST_RNG_SEED", "1").env("PROPTEST_MAX_SHRINK_ITERS", "0");
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// Whether a command succeeds, and the time of a core that it took.
fn run(mut command: Command) -> Result<(bool, Duration), String> {
    let output = command.output().map_err(|e| format!("sh: cannot be started: {e}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    // The second line is of the children: user and system.
    let times = said.lines().nth(1).ok_or("sh: `times` told nothing")?;
    let times: Option<f64> = times.split_whitespace().map(seconds).sum();
    let times = times.ok_or_else(|| format!("sh: `times` told {said:?}"))?;
    Ok((output.status.success(), Duration::from_secs_f64(times)))
}

/// `1m2.345s` in seconds.
pub fn seconds(text: &str) -> Option<f64> {
    let (minutes, seconds) = text.strip_suffix('s')?.split_once('m')?;
    Some(60.0 * minutes.parse::<f64>().ok()? + seconds.parse::<f64>().ok()?)
}
