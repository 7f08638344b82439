//! Events of Chrome's JSON trace format, and the check that a file keeps its rules: times rise, slices of a thread nest, a flow's
//! end follows its start and both lie in a slice.
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Where an event is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Track {
    /// Process.
    pub pid: u64,
    /// Thread.
    pub tid: u64,
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    track: Track,
    ts: f64,
    dur: Option<f64>,
    ph: char,
    name: String,
    rest: Value,
}

impl Event {
    fn new(track: Track, ph: char, name: &str, ts: f64, rest: Value) -> Event {
        Event { track, ts, dur: None, ph, name: name.to_owned(), rest }
    }

    /// A slice.
    pub fn slice(track: Track, name: &str, ts: f64, dur: f64) -> Event {
        Event { dur: Some(dur), ..Event::new(track, 'X', name, ts, json!({})) }
    }

    /// A moment.
    pub fn instant(track: Track, name: &str, ts: f64) -> Event {
        Event::new(track, 'i', name, ts, json!({ "s": "t" }))
    }

    /// An arrow's start.
    pub fn flow_start(track: Track, name: &str, ts: f64, id: u64) -> Event {
        Event::new(track, 's', name, ts, json!({ "id": id, "cat": "flow" }))
    }

    /// An arrow's end, at the slice that encloses it.
    pub fn flow_end(track: Track, name: &str, ts: f64, id: u64) -> Event {
        Event::new(track, 'f', name, ts, json!({ "id": id, "cat": "flow", "bp": "e" }))
    }

    /// A process's name and place.
    pub fn process(pid: u64, name: &str, place: u64) -> [Event; 2] {
        let track = Track { pid, tid: 0 };
        let named = |what: &str, args: Value| Event::new(track, 'M', what, 0.0, json!({ "args": args }));
        [
            named("process_name", json!({ "name": name })),
            named("process_sort_index", json!({ "sort_index": place })),
        ]
    }

    /// A thread's name.
    pub fn thread(track: Track, name: &str) -> Event {
        Event::new(track, 'M', "thread_name", 0.0, json!({ "args": { "name": name } }))
    }

    /// When it begins and ends; a name has no time.
    pub fn span(&self) -> Option<(f64, f64)> {
        (self.ph != 'M').then_some((self.ts, self.ts + self.dur.unwrap_or(0.0)))
    }

    /// The same, earlier by so much.
    pub fn earlier(mut self, by: f64) -> Event {
        self.ts = (self.ts - by).max(0.0);
        self
    }

    /// Names first, then by time; of slices that begin together the longer first.
    pub fn order(&self) -> (bool, f64, f64) {
        (self.ph != 'M', self.ts, -self.dur.unwrap_or(0.0))
    }

    /// As the format writes it.
    pub fn json(&self) -> Value {
        let mut value = json!({
            "ph": self.ph.to_string(), "name": self.name, "pid": self.track.pid, "tid": self.track.tid, "ts": self.ts,
        });
        if let Some(dur) = self.dur {
            value["dur"] = json!(dur);
        }
        if let (Some(object), Some(rest)) = (value.as_object_mut(), self.rest.as_object()) {
            object.extend(rest.clone());
        }
        value
    }
}

/// Slack for times that were rounded, microseconds.
const SLACK: f64 = 1e-6;

/// Checks a file; the number of its events.
pub fn check(file: &Value) -> Result<usize, String> {
    let events = file["traceEvents"].as_array().ok_or("there is no traceEvents")?;
    let mut latest = 0.0;
    let mut open: BTreeMap<(u64, u64), Vec<f64>> = BTreeMap::new();
    let mut slices: BTreeMap<(u64, u64), Vec<(f64, f64)>> = BTreeMap::new();
    let mut flows: BTreeMap<u64, (f64, bool)> = BTreeMap::new();
    let mut ends: Vec<(usize, (u64, u64), f64)> = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let field = |name: &str| event[name].as_u64().ok_or(format!("event {index} has no {name}"));
        let track = (field("pid")?, field("tid")?);
        let ts = event["ts"].as_f64().filter(|t| *t >= 0.0).ok_or(format!("event {index} has no time"))?;
        let ph = event["ph"].as_str().unwrap_or_default();
        if ph == "M" {
            continue;
        }
        if ts < latest {
            return Err(format!("event {index}: its time {ts} is before the one ahead of it, {latest}"));
        }
        latest = ts;
        match ph {
            "X" => {
                let dur = event["dur"].as_f64().filter(|d| *d >= 0.0);
                let end = ts + dur.ok_or(format!("event {index} is a slice without a length"))?;
                let stack = open.entry(track).or_default();
                while stack.last().is_some_and(|e| *e <= ts + SLACK) {
                    stack.pop();
                }
                if let Some(outer) = stack.last().filter(|e| **e + SLACK < end) {
                    return Err(format!(
                        "event {index}: its slice ends at {end}, after the one around it, at {outer}"
                    ));
                }
                stack.push(end);
                slices.entry(track).or_default().push((ts, end));
            }
            "s" => {
                if flows.insert(field("id")?, (ts, false)).is_some() {
                    return Err(format!("event {index}: its flow has begun before"));
                }
                ends.push((index, track, ts));
            }
            "f" => match flows.get_mut(&field("id")?) {
                Some((start, ended @ false)) if *start <= ts => {
                    *ended = true;
                    ends.push((index, track, ts));
                }
                _ => return Err(format!("event {index}: its flow has not begun, or has ended")),
            },
            "i" => {}
            other => return Err(format!("event {index} has the unknown kind '{other}'")),
        }
    }
    if let Some((id, _)) = flows.iter().find(|f| !f.1.1) {
        return Err(format!("flow {id} does not end"));
    }
    for (index, track, ts) in ends {
        let inside = |s: &(f64, f64)| s.0 <= ts + SLACK && ts <= s.1 + SLACK;
        if !slices.get(&track).is_some_and(|all| all.iter().any(inside)) {
            return Err(format!("event {index}: its flow hangs at no slice"));
        }
    }
    Ok(events.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Track = Track { pid: 1, tid: 1 };

    fn checked(events: &[Event]) -> Result<usize, String> {
        check(&json!({ "traceEvents": events.iter().map(Event::json).collect::<Vec<_>>() }))
    }

    #[test]
    fn what_nests_and_rises_passes() {
        let [name, place] = Event::process(1, "p", 0);
        let events = [
            name,
            place,
            Event::slice(T, "outer", 1.0, 10.0),
            Event::slice(T, "inner", 2.0, 3.0),
            Event::flow_start(T, "m", 2.0, 1),
            Event::slice(T, "next", 5.0, 6.0),
            Event::flow_end(T, "m", 5.0, 1),
            Event::slice(T, "after", 11.0, 1.0),
        ];
        assert_eq!(checked(&events), Ok(8));
    }

    #[test]
    fn each_broken_rule_is_found() {
        for (events, expected) in [
            (vec![Event::slice(T, "a", 1.0, 5.0), Event::slice(T, "b", 3.0, 5.0)], "after the one around it"),
            (vec![Event::slice(T, "a", 3.0, 1.0), Event::slice(T, "b", 1.0, 1.0)], "before the one ahead"),
            (vec![Event::slice(T, "a", 1.0, -1.0)], "without a length"),
            (vec![Event::flow_end(T, "m", 1.0, 1)], "has not begun"),
            (vec![Event::slice(T, "a", 1.0, 5.0), Event::flow_start(T, "m", 2.0, 1)], "does not end"),
            (vec![Event::flow_start(T, "m", 1.0, 1), Event::flow_end(T, "m", 1.0, 1)], "hangs at no slice"),
            (vec![Event::instant(T, "i", -1.0)], "has no time"),
        ] {
            let error = checked(&events).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert!(check(&json!({})).is_err());
    }
}
