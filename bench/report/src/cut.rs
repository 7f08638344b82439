//! Long times in which nothing was recorded are cut out of a picture: a viewer that opens it shows what there is to see.
//!
//! Boot is over after milliseconds, and the samples of a trace come seconds later. What is left out is said at the place, by a moment
//! with the length of it, and in the file's head; times within a piece are not touched.
use crate::chrome::{Event, Track};

/// Nothing for longer than that is cut, to [`KEPT`].
const LONGEST: f64 = 2000.0;
/// Microseconds that stay of it.
const KEPT: f64 = 500.0;

/// A piece that was left out: where it was, in the picture's time, and how long it was; microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cut {
    /// Where.
    pub at: f64,
    /// How long.
    pub length: f64,
}

/// Cuts; a moment on `track` says so at every place.
pub fn cut(events: Vec<Event>, track: Track) -> (Vec<Event>, Vec<Cut>) {
    let mut spans: Vec<(f64, f64)> = events.iter().filter_map(Event::span).collect();
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Where the gaps end, and what is taken off from there on.
    let (mut offs, mut cuts): (Vec<(f64, f64)>, Vec<Cut>) = (Vec::new(), Vec::new());
    let (mut end, mut off) = (0.0f64, 0.0);
    for (from, to) in spans {
        if from - end > LONGEST {
            let length = from - end - KEPT;
            cuts.push(Cut { at: end - off + KEPT / 2.0, length });
            off += length;
            offs.push((from, off));
        }
        end = end.max(to);
    }
    let by = |at: f64| offs.iter().rev().find(|(from, _)| at >= *from).map_or(0.0, |o| o.1);
    let mut out: Vec<Event> = events
        .into_iter()
        .map(|event| match event.span() {
            Some((from, _)) => event.earlier(by(from)),
            None => event,
        })
        .collect();
    for cut in &cuts {
        out.push(Event::instant(track, &format!("{:.1} ms left out here", cut.length / 1000.0), cut.at));
    }
    (out, cuts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACK: Track = Track { pid: 1, tid: 1 };

    #[test]
    fn long_silence_is_cut_and_said_and_pieces_keep_their_times() {
        let events = vec![
            Event::slice(TRACK, "boot", 0.0, 900.0),
            Event::slice(TRACK, "inner", 100.0, 10.0),
            Event::instant(TRACK, "later", 2_001_000.0),
            Event::slice(TRACK, "sample", 2_001_500.0, 100.0),
            Event::slice(TRACK, "next", 2_003_000.0, 100.0),
        ];
        let (events, cuts) = cut(events, TRACK);
        let spans: Vec<_> = events.iter().filter_map(Event::span).map(|s| s.0).collect();
        assert_eq!(spans, [0.0, 100.0, 1400.0, 1900.0, 3400.0, 1150.0]);
        assert_eq!(cuts, [Cut { at: 1150.0, length: 1_999_600.0 }]);
        assert!(events.last().is_some_and(|e| e.json()["name"] == "1999.6 ms left out here"));
    }

    #[test]
    fn what_has_no_long_silence_is_left_alone() {
        let events = vec![Event::slice(TRACK, "a", 0.0, 5000.0), Event::instant(TRACK, "b", 6000.0)];
        assert_eq!(cut(events.clone(), TRACK), (events, Vec::new()));
    }
}
