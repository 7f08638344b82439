//! As much time as programs can get: the greediest that is admitted makes no driver miss a deadline, and one more is refused.

use crate::Tries;
use alloc::format;
use alloc::string::String;
use axiom_bpf_client::{BpfServer, Failure, Loaded};
use axiom_runtime::proto::bpf::{Refusal, Setting};
use axiom_runtime::proto::iio;
use axiom_runtime::{Buffer, Endpoint, call, plain, time};

/// Looks at the clock until so many milliseconds have passed: an idle processor's virtual time follows the host's clock, which is
/// late when the host is busy.
fn wait(ms: u64) {
    let until = time::ticks() + time::from_nanoseconds(ms * 1_000_000);
    while time::ticks() < until {
        core::hint::spin_loop();
    }
}

/// More passes than any server has time for.
const TOO_MANY: i64 = 100_000;
/// How long programs are watched.
const WATCHED_MS: u64 = 500;

fn load(server: BpfServer, blob: &str, point: &str, passes: i64) -> Result<Loaded, String> {
    let settings = [Some(Setting { name: "passes", value: passes }), None, None, None];
    match server.load_at(blob, point, settings) {
        Ok(loaded) => Ok(loaded),
        Err(Failure::Refused(Refusal::Overload)) => Err(server.verdict()),
        Err(other) => Err(format!("not for its time: {other:?}: {}", server.verdict())),
    }
}

/// What the program has seen: runs, missed deadlines, latest start and longest run in nanoseconds.
fn seen(server: BpfServer, program: &Loaded) -> Option<[u64; 4]> {
    let mut bytes = [0; 32];
    server.value(program.id, "seen", 0, &mut bytes).then(|| {
        let mut numbers = [0; 4];
        for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks().0) {
            *number = u64::from_le_bytes(*bytes);
        }
        numbers
    })
}

/// The greediest program at a point that is admitted, and what is said of one that is a little greedier.
fn greediest(server: BpfServer, blob: &str, point: &str) -> Result<(Loaded, i64, String), String> {
    let (mut most, mut too_many, mut why) = (0, TOO_MANY, String::new());
    while too_many - most > 1 {
        let passes = (most + too_many) / 2;
        match load(server, blob, point, passes) {
            Ok(loaded) => {
                most = passes;
                server.unload(loaded.id).map_err(|e| format!("unload: {e:?}"))?;
            }
            Err(text) => (too_many, why) = (passes, text),
        }
    }
    Ok((load(server, blob, point, most)?, most, why))
}

/// The greediest program at a fast timer.
pub fn timer(tries: &mut Tries) {
    let Some(server) = tries.channel("bpf-server").map(BpfServer) else {
        return tries.works("the manifest gives this server a channel to bpf-server", false);
    };
    wait(tries.rt.arg_number("after_ms").unwrap_or(0));
    let point = "timer/1000hz";
    let (greedy, passes, why) = match greediest(server, "long_run.o", point) {
        Ok(found) => found,
        Err(why) => {
            plain!("{why}");
            return tries.works("the greediest program", false);
        }
    };
    plain!(
        "{passes} passes are admitted, {} instructions of the machine; of one more it is said:",
        greedy.cost
    );
    plain!("| {why}");
    let told = why.starts_with("at 1,000 Hz this program may need ")
        && why.contains("of timer-server's budget")
        && why.contains("shorten the loop at long_run.c:");
    tries.works("a refusal with figures and the loop's line", told);
    let again = load(server, "long_run.o", point, passes);
    tries.refused("a second program of the same length", again.is_err());
    wait(WATCHED_MS);
    let Some([runs, missed, late, longest]) = seen(server, &greedy) else {
        return tries.works("what the program has seen", false);
    };
    plain!(
        "{runs} runs, {missed} deadlines missed; latest start {} us, longest run {} us, counted {} us",
        late / 1000,
        longest / 1000,
        greedy.cost / 1000
    );
    tries.works("it runs at each deadline", runs + 20 > WATCHED_MS);
    tries.refused("a deadline is missed", missed == 0);
    // One instruction is one nanosecond where they are counted.
    tries.refused("a run is longer than was counted", longest <= greedy.cost);
    tries.works("it is not counted three times over", longest * 3 > greedy.cost);
    if tries.rt.arg("story") == Some("stays") {
        return;
    }
    // What is given back can be had again.
    tries.works("unload", server.unload(greedy.id).is_ok());
    match load(server, "long_run.o", point, passes) {
        Ok(loaded) => tries.works("unload", server.unload(loaded.id).is_ok()),
        Err(why) => {
            plain!("{why}");
            tries.works("the same once more", false);
        }
    }
    waiting(tries, server);
    helpers(tries, server);
}

/// The greediest program that spends its time in helpers takes no more than it was counted with.
fn helpers(tries: &mut Tries, server: BpfServer) {
    let greedy = match greediest(server, "long_helpers.o", "timer/100hz") {
        Ok((greedy, ..)) => greedy,
        Err(why) => {
            plain!("{why}");
            return tries.works("the greediest program with helpers", false);
        }
    };
    wait(WATCHED_MS / 2);
    let Some([runs, missed, _, longest]) = seen(server, &greedy) else {
        return tries.works("what the program with helpers has seen", false);
    };
    plain!("helpers: {runs} runs, {missed} missed, longest run {longest} ns, counted {} ns", greedy.cost);
    tries.works("it runs", runs + 5 > WATCHED_MS / 2 / 10);
    tries.refused("helpers make it miss a deadline", missed == 0);
    tries.refused("helpers take longer than was counted", longest > 0 && longest <= greedy.cost);
    tries.works("unload", server.unload(greedy.id).is_ok());
}

/// A program that runs seldom, but long, is nothing of the budget; a fast timer would have to wait for it.
fn waiting(tries: &mut Tries, server: BpfServer) {
    let slow = match greediest(server, "long_run.o", "timer/10hz") {
        Ok((slow, passes, _)) => {
            plain!("{passes} passes are admitted ten times a second");
            slow
        }
        Err(why) => {
            plain!("{why}");
            return tries.works("a long program that runs seldom", false);
        }
    };
    match load(server, "long_run.o", "timer/2000hz", 1) {
        Err(why) if why.contains("events of timer-server can wait for") => plain!("| {why}"),
        Err(why) => {
            plain!("{why}");
            tries.works("a refusal that says how long events can wait", false);
        }
        Ok(_) => tries.refused("a fast timer beside a long program", false),
    }
    tries.works("unload", server.unload(slow.id).is_ok());
}

fn sample(server: Endpoint, hz: u32) -> String {
    let request = iio::Request::Sample { device: 0, hz };
    match call(server, iio::INTERFACE, &request, &mut Buffer::new()) {
        Ok(iio::Reply::Rate { millihertz }) => format!("{} Hz", millihertz / 1000),
        Ok(iio::Reply::Overload(why)) => {
            let mut text = String::new();
            // A text grows without failing.
            let _ = why.words(&mut text, "the programs of adxl345", "iio-server");
            text
        }
        other => format!("{other:?}"),
    }
}

/// The greediest program on a sensor, whose rate is changed then.
pub fn sensor(tries: &mut Tries) {
    let (Some(bpf), Some(sensors)) =
        (tries.channel("bpf-server").map(BpfServer), tries.channel("iio-server"))
    else {
        return tries.works("the manifest gives this server its channels", false);
    };
    tries.works("200 Hz without a program", sample(sensors, 200) == "200 Hz");
    let greedy = match greediest(bpf, "long_filter.o", "iio/adxl345/accel_x") {
        Ok((loaded, passes, why)) => {
            plain!("{passes} passes are admitted at 200 Hz; of one more it is said:");
            plain!("| {why}");
            tries.works(
                "a refusal with figures",
                why.starts_with("at 200 Hz this program may need ") && why.contains("of iio-server's budget"),
            );
            loaded
        }
        Err(why) => {
            plain!("{why}");
            return tries.works("the greediest program", false);
        }
    };
    let told = sample(sensors, 3200);
    plain!("| {told}");
    tries.refused(
        "3200 Hz for a program that has no time for it",
        told.starts_with("at 3,200 Hz the programs of adxl345 may need ") && told.ends_with(" is left"),
    );
    let rate = iio::Request::Read { device: 0, channel: 0, attribute: "sampling_frequency" };
    let still = matches!(
        call(sensors, iio::INTERFACE, &rate, &mut Buffer::new()),
        Ok(iio::Reply::Value { integer: 200, nanos: 0 })
    );
    tries.works("the rate is what it was", still);
    tries.works("slower is always possible", sample(sensors, 100) == "100 Hz");
    tries.sleep(500);
    let ran = bpf.counts(greedy.id).is_some_and(|c| c.0 > 40);
    tries.works("its program runs", ran);
    tries.works("unload", bpf.unload(greedy.id).is_ok());
    tries.works("3200 Hz without it", sample(sensors, 3200) == "3200 Hz");
}
