//! `axiom-mutants CRATE`: how strong a crate's host tests are, with all of its mutants in one build.
//!
//! ```text
//! axiom-mutants axiom-objects                        # every mutant; the rate, and those that no test noticed
//! axiom-mutants axiom-objects --sample 150 --seed 7  # so many of them, drawn by the seed; --after 150 draws the next ones
//! axiom-mutants axiom-objects --names missed.txt     # only these, by their names or the beginnings of them
//! axiom-mutants axiom-bpf-checker --longest 2     # without the tests that take longer than so many seconds
//! axiom-mutants axiom-bpf-checker --with axiom-bpf-verifier   # that crate's tests look at them, too; may be said several times
//! ```
//! The mutants are those of `cargo mutants --list`. `cargo mutants` builds the crate again for each; here all of them are branches of one
//! program (`weave`), and an environment variable chooses one, so a mutant costs only the time of its tests. First it is found out
//! which tests execute each place; only those are run for its mutants, the quickest first, until one fails (`run`).
//!
//! Three kinds are not tried: a branch that does not compile (`compile`); what cannot be a branch, as in constants, which is counted as
//! left to `cargo mutants`; and files that are compiled only for another architecture (`RUSTFLAGS` may choose that one).
//!
//! The work is done in a copy of the repository's tracked and new files below the output folder; the sources are not touched.
//! The exit status is 1 if the rate of noticed mutants is below `--least PERCENT`, 2 if something else went wrong.
use std::path::PathBuf;
use std::process::ExitCode;

mod compile;
mod list;
mod report;
mod run;
mod sites;
#[cfg(test)]
mod tests;
mod weave;

/// What to do, from the command line.
struct Options {
    package: String,
    output: PathBuf,
    sample: Option<usize>,
    after: usize,
    seed: u64,
    names: Option<PathBuf>,
    /// Other crates whose tests look at the mutants, too.
    with: Vec<String>,
    least: f64,
    jobs: usize,
    /// Seconds of a core that a test may take to be one.
    longest: u64,
}

const USAGE: &str = "usage: axiom-mutants CRATE [--sample N] [--after N] [--seed N] [--names FILE] [--with CRATE] [--least PERCENT] [--jobs N] [--longest SECONDS] \
                     [--output FOLDER]";

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
        let package = args.next().filter(|name| !name.starts_with('-')).ok_or(USAGE)?;
        let mut options = Options {
            package,
            output: PathBuf::from("target/axiom/mutants"),
            sample: None,
            after: 0,
            seed: 1,
            names: None,
            with: Vec::new(),
            least: 0.0,
            jobs: 1,
            longest: 1200,
        };
        while let Some(flag) = args.next() {
            let value = args.next().ok_or_else(|| format!("{flag} needs a value; {USAGE}"))?;
            let number =
                || value.parse::<u64>().map_err(|_| format!("{flag} {value}: not a number; {USAGE}"));
            match flag.as_str() {
                "--sample" => options.sample = Some(number()? as usize),
                "--after" => options.after = number()? as usize,
                "--seed" => options.seed = number()?,
                "--jobs" => options.jobs = (number()? as usize).max(1),
                "--longest" => options.longest = number()?.max(1),
                "--least" => options.least = number()? as f64,
                "--names" => options.names = Some(value.into()),
                "--with" => options.with.push(value),
                "--output" => options.output = value.into(),
                _ => return Err(format!("{flag} is unknown; {USAGE}")),
            }
        }
        options.output = std::path::absolute(options.output.join(&options.package))
            .map_err(|e| format!("{}: {e}", options.output.display()))?;
        Ok(options)
    }
}

fn run(options: &Options) -> Result<bool, String> {
    let root = std::env::current_dir().map_err(|e| format!("the current folder: {e}"))?;
    let mutants = list::mutants(&root, &options.package)?;
    println!("{}: {} mutants", options.package, mutants.len());
    let built = compile::build(&root, &options.output, &options.package, &options.with, mutants)?;
    let chosen = report::choose(&built, options)?;
    let outcomes = run::all(&built, &chosen, options)?;
    report::tell(&built, &outcomes, options)
}

fn main() -> ExitCode {
    axiom_terminal::end_with_the_pipe();
    let options = Options::parse(std::env::args().skip(1));
    match options.and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("axiom-mutants: {message}");
            ExitCode::from(2)
        }
    }
}
