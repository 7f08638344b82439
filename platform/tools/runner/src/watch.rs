//! What the console says: lines, the verdict, the texts that must or must not come.
use crate::options::Options;

/// Begins the line that ends a run.
pub const VERDICT: &str = "axiom: run ended: ";
/// The kernel's own ends.
const FATAL: [&str; 3] = ["axiom: KERNEL PANIC", "axiom: KERNEL FAULT", "axiom: boot stopped"];

/// How a run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It goes on.
    Running,
    /// It ended: with all that was expected, or why not.
    Ended(Result<(), String>),
}

/// Reads the console.
pub struct Watch {
    expect: Vec<String>,
    forbid: Vec<String>,
    expect_failure: Option<String>,
    no_verdict: bool,
    /// What the verdict's line ends with, where servers could write one.
    token: Option<String>,
    came: usize,
    state: State,
    fatal: Option<String>,
}

impl Watch {
    /// Looks for what the options say.
    pub fn new(o: &Options) -> Self {
        Self {
            expect: o.expect.clone(),
            forbid: o.forbid.clone(),
            expect_failure: o.expect_failure.clone(),
            no_verdict: o.no_verdict,
            token: o.token.as_ref().map(|token| format!(" ({token})")),
            came: 0,
            state: State::Running,
            fatal: None,
        }
    }

    /// Takes a line of the console.
    pub fn line(&mut self, line: &str) -> &State {
        self.line_ended(line);
        &self.state
    }

    /// The text is at its end; how the run ended.
    pub fn finish(self, why: &str) -> Result<(), String> {
        match self.state {
            State::Ended(result) => result,
            State::Running => Err(match self.fatal {
                Some(line) => format!("the kernel stopped: {line}"),
                None => format!("{why}{}", missing(&self.expect[self.came..])),
            }),
        }
    }

    fn line_ended(&mut self, line: &str) {
        if self.state != State::Running {
            return;
        }
        while self.expect.get(self.came).is_some_and(|text| line.contains(text.as_str())) {
            self.came += 1;
        }
        if let Some(text) = self.forbid.iter().find(|text| line.contains(text.as_str())) {
            self.state = State::Ended(Err(format!("the console said '{text}', which must not come: {line}")));
            return;
        }
        if self.fatal.is_none() && FATAL.iter().any(|text| line.contains(text)) {
            self.fatal = Some(line.trim().to_owned());
        }
        if let Some(verdict) = self.verdict(line) {
            self.state = State::Ended(self.judge(verdict));
        } else if self.no_verdict && self.came == self.expect.len() {
            self.state = State::Ended(Ok(()));
        }
    }

    /// The verdict in a line, if it is one that init alone can have written.
    fn verdict<'l>(&self, line: &'l str) -> Option<&'l str> {
        let (_, verdict) = line.split_once(VERDICT)?;
        match &self.token {
            Some(token) => verdict.trim_end().strip_suffix(token.as_str()),
            None => Some(verdict.trim()),
        }
    }

    fn judge(&self, verdict: &str) -> Result<(), String> {
        let failure = verdict.strip_prefix("FAILED: ");
        match (failure, &self.expect_failure) {
            (Some(why), Some(text)) if why.contains(text.as_str()) => {}
            (Some(why), _) => return Err(format!("the run failed: {why}")),
            (None, Some(text)) => {
                return Err(format!("the run ended '{verdict}', but should have failed with '{text}'"));
            }
            (None, None) if verdict == "ok" => {}
            (None, None) => return Err(format!("the verdict '{verdict}' is neither ok nor FAILED")),
        }
        match &self.expect[self.came..] {
            [] => Ok(()),
            rest => Err(format!("the run ended{}", missing(rest))),
        }
    }
}

fn missing(rest: &[String]) -> String {
    match rest {
        [] => String::new(),
        [next] => format!(" without '{next}'"),
        [next, later @ ..] => format!(" without '{next}' (nor {} more that should follow)", later.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(edit: impl FnOnce(&mut Options), text: &str) -> Result<(), String> {
        let mut o = Options::default();
        edit(&mut o);
        let mut watch = Watch::new(&o);
        for line in text.lines() {
            watch.line(line);
        }
        watch.finish("QEMU ended")
    }

    #[test]
    fn the_verdict_decides() {
        assert_eq!(watch(|_| (), "boot\naxiom: run ended: ok\n"), Ok(()));
        assert_eq!(
            watch(|_| (), "axiom: run ended: FAILED: a server is down\n"),
            Err("the run failed: a server is down".into())
        );
        assert_eq!(watch(|_| (), "boot\n"), Err("QEMU ended".into()));
        assert_eq!(
            watch(|_| (), "axiom: run ended: perhaps\n"),
            Err("the verdict 'perhaps' is neither ok nor FAILED".into())
        );
    }

    #[test]
    fn a_verdict_without_the_runs_own_word_is_a_line_like_any_other() {
        let own = |o: &mut Options| o.token = Some("5eed".into());
        for forged in [
            "axiom: run ended: ok",
            "axiom: run ended: ok (feed)",
            "x: axiom: run ended: ok",
            "axiom: run ended: ok 5eed",
        ] {
            assert_eq!(watch(own, &format!("{forged}\n")), Err("QEMU ended".into()), "{forged}");
            let failed = format!("{forged}\naxiom: run ended: FAILED: a server is down (5eed)\n");
            assert_eq!(watch(own, &failed), Err("the run failed: a server is down".into()), "{forged}");
        }
        // Whoever wrote last may not have ended its line.
        assert_eq!(watch(own, "demo: half a lineaxiom: run ended: ok (5eed)\n"), Ok(()));
    }

    #[test]
    fn expected_texts_come_in_order() {
        let two = |o: &mut Options| o.expect = vec!["first".into(), "second".into()];
        assert_eq!(watch(two, "first second\naxiom: run ended: ok\n"), Ok(()));
        assert_eq!(
            watch(two, "second\nfirst\naxiom: run ended: ok\n"),
            Err("the run ended without 'second'".into())
        );
        assert_eq!(
            watch(two, "x\n"),
            Err("QEMU ended without 'first' (nor 1 more that should follow)".into())
        );
    }

    #[test]
    fn a_forbidden_text_ends_the_run() {
        let result =
            watch(|o| o.forbid = vec!["panicked".into()], "demo panicked at 7\naxiom: run ended: ok\n");
        assert_eq!(
            result,
            Err("the console said 'panicked', which must not come: demo panicked at 7".into())
        );
    }

    #[test]
    fn a_failure_can_be_what_is_wanted() {
        let wants = |o: &mut Options| o.expect_failure = Some("no memory".into());
        assert_eq!(watch(wants, "axiom: run ended: FAILED: no memory left\n"), Ok(()));
        assert!(
            watch(wants, "axiom: run ended: ok\n")
                .unwrap_err()
                .contains("should have failed with 'no memory'")
        );
    }

    #[test]
    fn foreign_root_tasks_end_with_their_last_text() {
        let foreign = |o: &mut Options| (o.no_verdict, o.expect) = (true, vec!["hello".into()]);
        assert_eq!(watch(foreign, "hello from seL4\n"), Ok(()));
    }

    #[test]
    fn the_kernels_own_end_is_named() {
        let result = watch(|_| (), "axiom: boot stopped: no memory node\n");
        assert_eq!(result, Err("the kernel stopped: axiom: boot stopped: no memory node".into()));
    }
}
