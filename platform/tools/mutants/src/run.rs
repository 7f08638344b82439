//! Runs tests on mutants: which tests pass a site is found once, then each mutant meets those, first the one that costs least for what
//! it notices.
//!
//! A mutant is noticed when a test fails, crashes, or takes far longer than it should. Quick tests run several to a process. What a
//! test has noticed of the mutants before, in the same file and elsewhere, decides its place: so the order gets better as it goes.
use crate::Options;
use crate::compile::Built;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
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

impl Outcome {
    /// Some test told it from the program as it is.
    pub fn is_noticed(self) -> bool {
        matches!(self, Outcome::Noticed | Outcome::TimedOut)
    }
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

/// How often tests met mutants of a file and noticed them.
#[derive(Default)]
struct Record {
    /// By test and file: met, noticed.
    by_file: BTreeMap<(usize, String), (f64, f64)>,
    /// By test.
    all: BTreeMap<usize, (f64, f64)>,
}

impl Record {
    fn add(&mut self, test: usize, file: &str, noticed: bool) {
        let by_file = self.by_file.entry((test, file.into())).or_default();
        for (met, count) in [by_file, self.all.entry(test).or_default()] {
            *met += 1.0;
            *count += f64::from(u8::from(noticed));
        }
    }

    /// How likely a test is to notice a mutant of a file.
    fn rate(&self, test: usize, file: &str) -> f64 {
        let (met, noticed) = self.all.get(&test).copied().unwrap_or_default();
        let all = (noticed + 1.0) / (met + 3.0);
        let (met, noticed) = self.by_file.get(&(test, file.into())).copied().unwrap_or_default();
        (noticed + 3.0 * all) / (met + 3.0)
    }
}

/// The outcome of each chosen mutant.
pub fn all(built: &Built, chosen: &[u32], options: &Options) -> Result<BTreeMap<u32, Outcome>, String> {
    let (output, jobs) = (&options.output, options.jobs);
    let tests = tests(built, output, Duration::from_secs(options.longest))?;
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
    // A run that is stopped leaves what it found.
    let path = output.join("so-far.txt");
    let so_far = std::fs::File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let (next, outcomes, begun) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()), Instant::now());
    let record = Mutex::new(Record::default());
    let work = || -> Result<(), String> {
        control(built, &tests)?;
        while let Some(id) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (outcome, by) = one(built, &tests, *id, &record)?;
            let mut outcomes = outcomes.lock().map_err(|_| "another job failed")?;
            outcomes.insert(*id, outcome);
            let name = &built.mutants[*id as usize - 1].name;
            writeln!(&so_far, "{outcome:?}\t{name}\t{by}").map_err(|e| format!("{}: {e}", path.display()))?;
            if !outcome.is_noticed() {
                println!("{} {name}", if outcome == Outcome::Missed { "MISSED " } else { "UNTRIED" });
            }
            let tried = outcomes.len();
            if tried.is_multiple_of(50) {
                let noticed = outcomes.values().filter(|outcome| outcome.is_noticed()).count();
                let time = begun.elapsed().as_secs();
                println!("{tried} of {} in {time} s, {noticed} noticed", chosen.len());
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

/// All tests that take no longer than so much of a core, the quickest first; each passes without a mutant.
fn tests(built: &Built, output: &Path, longest: Duration) -> Result<Vec<Test>, String> {
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
            let plain = run(command(built, program, &[name], longest))?;
            if plain.took.mul_f64(if plain.passed { 1.0 } else { 2.0 }) >= longest {
                println!("left out, because it takes longer than {} s: {name}", longest.as_secs());
                continue;
            }
            // Noting where it passes takes time, so it runs once more.
            let mut traced = command(built, program, &[name], LONGEST);
            traced.env("AXIOM_MUTANT_TRACE", &trace);
            let traced = run(traced)?;
            if !traced.passed || !plain.passed {
                return Err(format!("{name} fails without a mutant: mend it first ({})", program.display()));
            }
            let sites = std::fs::read_to_string(&trace).unwrap_or_default();
            let sites = sites.lines().filter_map(|line| line.parse().ok()).collect();
            tests.push(Test { program: program.clone(), name: name.into(), time: plain.took, sites });
        }
    }
    tests.sort_by_key(|test| test.time);
    Ok(tests)
}

/// With as many jobs at once, the quick tests still pass without a mutant: what fails is a mutant's doing.
fn control(built: &Built, tests: &[Test]) -> Result<(), String> {
    let quick: Vec<&Test> = tests.iter().take_while(|test| test.time <= TOGETHER / 10).collect();
    let programs: BTreeSet<&PathBuf> = quick.iter().map(|test| &test.program).collect();
    for program in programs {
        let names = quick.iter().filter(|test| test.program == *program).map(|test| test.name.as_str());
        let ran = run(command(built, program, &names.collect::<Vec<_>>(), LONGEST))?;
        if !ran.passed {
            let failed: Vec<&str> = ran.said.lines().filter(|line| line.ends_with("FAILED")).collect();
            return Err(format!(
                "so many jobs at once make tests fail without a mutant: {failed:?}; use fewer (--jobs)"
            ));
        }
    }
    Ok(())
}

/// A mutant's outcome, and the test that noticed it.
fn one(built: &Built, tests: &[Test], id: u32, record: &Mutex<Record>) -> Result<(Outcome, String), String> {
    let (site, file) = (built.sites[&id], &built.mutants[id as usize - 1].file);
    let locked = || record.lock().map_err(|_| "another job failed".to_string());
    let mut order: Vec<usize> = (0..tests.len()).filter(|i| tests[*i].sites.contains(&site)).collect();
    {
        // A process costs something as well.
        let record = locked()?;
        let cost = |i: &usize| (tests[*i].time.as_secs_f64() + 0.005) / record.rate(*i, file);
        order.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
    }
    let mut rest = order.into_iter().peekable();
    if rest.peek().is_none() {
        return Ok((Outcome::NeverPassed, String::new()));
    }
    while let Some(first) = rest.next() {
        let (mut group, mut time) = (vec![first], tests[first].time);
        while let Some(next) = rest.peek()
            && tests[*next].program == tests[first].program
            && time + tests[*next].time <= TOGETHER
        {
            group.push(*next);
            time += tests[*next].time;
            rest.next();
        }
        let most = Duration::from_secs(1) + 4 * time;
        let names: Vec<&str> = group.iter().map(|i| tests[*i].name.as_str()).collect();
        let mut command = command(built, &tests[first].program, &names, most);
        command.env("AXIOM_MUTANT", id.to_string());
        let Ran { passed, took, said } = run(command)?;
        let failed = |i: &usize| said.contains(&format!("test {} ... FAILED", tests[*i].name));
        // Without a verdict the program crashed or was stopped: at the first of them, as far as one can tell.
        let none = !passed && !group.iter().any(failed);
        let mut record = locked()?;
        for i in &group {
            record.add(*i, file, !passed && (failed(i) || none && *i == first));
        }
        if !passed {
            let by = match group.iter().find(|i| failed(i)) {
                Some(i) => tests[*i].name.clone(),
                None => format!("a crash in {} or after it", tests[first].name),
            };
            return Ok((if took >= most { Outcome::TimedOut } else { Outcome::Noticed }, by));
        }
    }
    Ok((Outcome::Missed, String::new()))
}

/// Tests of a program, which may use so much time of a core. The shell tells how much it was.
fn command(built: &Built, program: &Path, names: &[&str], most: Duration) -> Command {
    let mut command = Command::new("sh");
    let most = most.as_secs_f64().ceil();
    let script = format!(
        "ulimit -v {MEMORY}; ulimit -t {most}; \"$0\" \"$@\" 2>/dev/null; passed=$?; times; exit $passed"
    );
    command.args(["-c", &script]).arg(program);
    command.args(["--exact", "--test-threads", "1"]).args(names);
    command.current_dir(&built.folder).env_remove("RUST_BACKTRACE");
    // A test that draws samples draws the same ones each time, and does not look for a smaller one that fails.
    command.env("PROPTEST_RNG_SEED", "1").env("PROPTEST_MAX_SHRINK_ITERS", "0");
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// What became of a command.
struct Ran {
    passed: bool,
    /// The time of a core.
    took: Duration,
    /// Which tests passed and failed, and why.
    said: String,
}

fn run(mut command: Command) -> Result<Ran, String> {
    let output = command.output().map_err(|e| format!("sh: cannot be started: {e}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // The last line is of the children: user and system.
    let times = said.lines().next_back().ok_or("sh: `times` told nothing")?;
    let took: Option<f64> = times.split_whitespace().map(seconds).sum();
    let took = took.ok_or_else(|| format!("sh: `times` told {times:?}"))?;
    Ok(Ran { passed: output.status.success(), took: Duration::from_secs_f64(took), said })
}

/// `1m2.345s` in seconds.
pub fn seconds(text: &str) -> Option<f64> {
    let (minutes, seconds) = text.strip_suffix('s')?.split_once('m')?;
    Some(60.0 * minutes.parse::<f64>().ok()? + seconds.parse::<f64>().ok()?)
}
