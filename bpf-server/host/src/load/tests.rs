//! The two rules, over every small world: what they admit is played through, event by event, for every phase of the events against
//! each other; and the figures of what they refuse.

extern crate std;
use super::*;
use std::vec::Vec;

/// Events of a known distance, programs of a known length.
#[derive(Clone, Copy, Debug)]
struct Kind {
    spacing: u64,
    cost: u64,
    phase: u64,
}

fn sum(budget: &Budget, kinds: &[Kind]) -> Sum {
    let mut sum = Sum::new(budget);
    kinds.iter().for_each(|k| sum.add(Stream::Periodic(k.spacing), k.cost));
    sum
}

fn admitted(budget: &Budget, kinds: &[Kind]) -> bool {
    let stream = kinds.last().map_or(Stream::Silent, |k| Stream::Periodic(k.spacing));
    let change = Change { before: Sum::new(budget), after: sum(budget, kinds), share: None, stream };
    change.admit(budget).is_ok()
}

/// The first rule alone.
fn fits(budget: &Budget, kinds: &[Kind]) -> bool {
    sum(budget, kinds).time() <= for_programs(budget)
}

/// What went wrong in so much time: events that were not served before the next of their kind, the longest wait, and the most that programs
/// took in any period.
struct Played {
    missed: u64,
    longest: u64,
    busiest: u64,
}

/// A server that takes what is signalled, serves it in the order of its points, and looks again.
fn play(budget: &Budget, kinds: &[Kind], end: u64) -> Played {
    let mut next: Vec<u64> = kinds.iter().map(|k| k.phase).collect();
    let mut busy = std::vec![false; (end + 1000) as usize];
    let mut played = Played { missed: 0, longest: 0, busiest: 0 };
    let mut now = 0;
    while now < end {
        let signalled: Vec<bool> = next.iter().map(|n| *n <= now).collect();
        if !signalled.contains(&true) {
            now = next.iter().copied().min().unwrap_or(end);
            continue;
        }
        for (i, k) in kinds.iter().enumerate().filter(|(i, _)| signalled[*i]) {
            let late = now - next[i];
            let missed = late / k.spacing;
            played.missed += missed;
            played.longest = played.longest.max(late);
            next[i] += (missed + 1) * k.spacing;
            busy[now as usize..(now + k.cost) as usize].fill(true);
            now += k.cost;
        }
    }
    let mut taken = 0;
    for at in 0..end as usize {
        taken += u64::from(busy[at]);
        taken -= u64::from(at.checked_sub(budget.period as usize).is_some_and(|before| busy[before]));
        played.busiest = played.busiest.max(taken);
    }
    played
}

/// Calls with every world of one and two kinds of event, and every phase.
fn worlds(mut f: impl FnMut(&Budget, &[Kind])) {
    for period in [8, 10] {
        let budget = Budget { time: period, period };
        for spacing in [4, 5, 8, 12, 30] {
            for cost in 0..=7 {
                f(&budget, &[Kind { spacing, cost, phase: 0 }]);
                for other in [4, 7, 8, 16, 40] {
                    for second in 0..=7 {
                        for phase in 0..other.min(16) {
                            let kinds = [
                                Kind { spacing, cost, phase: 0 },
                                Kind { spacing: other, cost: second, phase },
                            ];
                            f(&budget, &kinds);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_admitted_misses_nothing_and_keeps_to_its_half() {
    let (mut tried, mut used) = (0u64, 0u64);
    worlds(|budget, kinds| {
        if !admitted(budget, kinds) {
            return;
        }
        tried += 1;
        let shortest = kinds.iter().map(|k| k.spacing).min().unwrap();
        let played = play(budget, kinds, 240);
        assert_eq!(played.missed, 0, "{budget:?} {kinds:?}");
        assert!(2 * played.longest <= shortest, "{budget:?} {kinds:?}: waits {}", played.longest);
        assert!(2 * played.busiest <= budget.time, "{budget:?} {kinds:?}: takes {}", played.busiest);
        used += u64::from(2 * played.busiest == budget.time);
    });
    assert!(tried > 1_000, "{tried} worlds are admitted");
    assert!(used > 0, "no world uses the half up");
}

#[test]
fn a_budget_alone_does_not_keep_deadlines() {
    let mut missed = 0;
    worlds(|budget, kinds| {
        if missed == 0 && fits(budget, kinds) && !admitted(budget, kinds) {
            missed = play(budget, kinds, 240).missed;
        }
    });
    assert!(
        missed > 0,
        "the second rule refuses nothing that the first one admits and that misses a deadline"
    );
}

/// Three kinds, of which one begins with the first event of another.
fn three_kinds(mut f: impl FnMut(&Budget, &[Kind])) {
    let budget = Budget { time: 24, period: 24 };
    let costs = || (0..=3u64).flat_map(|a| (0..=3u64).flat_map(move |b| (0..=3u64).map(move |c| (a, b, c))));
    for (first, second, third) in [(16, 24, 100), (16, 17, 18), (20, 20, 20), (28, 31, 60), (13, 40, 41)] {
        for (a, b, c) in costs() {
            for phases in 0..first * second {
                let kinds = [
                    Kind { spacing: first, cost: a, phase: phases % first },
                    Kind { spacing: second, cost: b, phase: phases / first },
                    Kind { spacing: third, cost: c, phase: 3 },
                ];
                f(&budget, &kinds);
            }
        }
    }
}

#[test]
fn three_kinds_keep_to_it_too() {
    let mut tried = 0;
    three_kinds(|budget, kinds| {
        if admitted(budget, kinds) {
            tried += 1;
            let shortest = kinds.iter().map(|k| k.spacing).min().unwrap();
            let played = play(budget, kinds, 200);
            assert_eq!(played.missed, 0, "{kinds:?}");
            assert!(2 * played.longest <= shortest, "{kinds:?}: waits {}", played.longest);
            assert!(2 * played.busiest <= budget.time, "{kinds:?}: takes {}", played.busiest);
        }
    });
    assert!(tried > 10_000, "{tried}");
}

const MS: u64 = 1_000_000;
const BUDGET: Budget = Budget { time: 1_500_000, period: 5 * MS };
const HZ_3200: Stream = Stream::Periodic(312_500);

fn change(before: &[(Stream, u64)], after: &[(Stream, u64)]) -> Change {
    let of = |points: &[(Stream, u64)]| {
        let mut sum = Sum::new(&BUDGET);
        points.iter().for_each(|(stream, cost)| sum.add(*stream, *cost));
        sum
    };
    let stream = after.last().map_or(Stream::Silent, |p| p.0);
    Change { before: of(before), after: of(after), share: None, stream }
}

#[test]
fn a_refusal_says_what_is_needed_and_what_is_left() {
    // 16 events and one that came before.
    let before = [(HZ_3200, 10_000)];
    let refused = change(&before, &[(HZ_3200, 10_000), (HZ_3200, 40_000)]).admit(&BUDGET).unwrap_err();
    assert_eq!(refused, Overload { limit: Limit::Budget, millihertz: 3_200_000, needs: 454, left: 386 });
    assert!(change(&before, &[(HZ_3200, 10_000), (HZ_3200, 9_000)]).admit(&BUDGET).is_ok());
    // Once a second is nothing of the budget, but 400 us at a time are too long for 3200 Hz.
    let slow = (Stream::Periodic(1000 * MS), 400_000);
    let refused = change(&before, &[before[0], slow]).admit(&BUDGET).unwrap_err();
    assert_eq!(refused, Overload { limit: Limit::Waiting, millihertz: 1000, needs: 400, left: 68 });
    // The same the other way round: the rate comes later.
    let refused = change(&[slow], &[slow, (HZ_3200, 0)]).admit(&BUDGET).unwrap_err();
    assert_eq!(refused, Overload { limit: Limit::Waiting, millihertz: 3_200_000, needs: 400, left: 78 });
}

#[test]
fn what_takes_no_more_than_before_is_never_refused() {
    // A budget that became too small for what is there, as after a restart with another manifest.
    let full = [(HZ_3200, 90_000)];
    assert!(change(&[], &full).admit(&BUDGET).is_err());
    assert!(change(&full, &full).admit(&BUDGET).is_ok());
    assert!(change(&full, &[(HZ_3200, 80_000)]).admit(&BUDGET).is_ok());
    assert!(change(&full, &[(HZ_3200, 90_001)]).admit(&BUDGET).is_err());
    assert!(change(&full, &[(Stream::Silent, 90_000)]).admit(&BUDGET).is_ok());
}

#[test]
fn a_client_has_half_of_what_programs_have() {
    let all = |cost| change(&[], &[(HZ_3200, cost)]);
    let with_share = |cost| {
        let (before, after) = (all(cost).before, all(cost).after);
        Change { share: Some((before, after)), ..all(cost) }
    };
    // 17 events: 750 us for all, 375 us for one client.
    assert!(with_share(22_058).admit(&BUDGET).is_ok());
    let refused = with_share(22_059).admit(&BUDGET).unwrap_err();
    assert_eq!(refused, Overload { limit: Limit::Share, millihertz: 3_200_000, needs: 251, left: 250 });
    assert!(all(44_117).admit(&BUDGET).is_ok());
    assert_eq!(all(44_118).admit(&BUDGET).unwrap_err().limit, Limit::Budget);
}

#[test]
fn points_that_share_events_are_not_added_up() {
    let edges = Stream::Shared { group: 0, points: 2, most: 10, window: 10 * MS };
    let duties = Stream::Shared { group: 1, points: 1, most: 50, window: 10 * MS };
    let budget = Budget { time: MS, period: 10 * MS };
    let mut sum = Sum::new(&budget);
    for cost in [3_000, 9_000, 1_000, 5_000] {
        sum.add(edges, cost);
    }
    assert_eq!((sum.group(0), sum.time()), ((280_000, 14_000), 280_000), "twenty edges of the two costliest");
    for cost in [500, 700, 600] {
        sum.add(duties, cost);
    }
    assert_eq!((sum.group(1), sum.time()), ((70_000, 700), 350_000), "a hundred of the costliest");
    assert_eq!(sum.shortest, u64::MAX, "nobody waits for them at a known time");
}

#[test]
fn samples_that_a_chip_has_kept_come_at_once() {
    let kept = Stream::Batches { spacing: 312_500, batch: 16, backlog: 32 };
    assert_eq!((kept.events(5 * MS), kept.deadline(), kept.in_a_round()), (48, Some(5 * MS), 32));
    assert_eq!(kept.millihertz(), 3_200_000);
    assert!(change(&[], &[(kept, 15_625)]).admit(&BUDGET).is_ok());
    assert_eq!(change(&[], &[(kept, 15_626)]).admit(&BUDGET).unwrap_err().limit, Limit::Budget);
}

#[test]
fn sums_end_at_the_largest_number() {
    let huge = change(&[], &[(HZ_3200, u64::MAX), (Stream::Periodic(1), u64::MAX)]);
    assert_eq!(huge.after.time(), u64::MAX);
    let refused = huge.admit(&BUDGET).unwrap_err();
    assert_eq!((refused.needs, refused.left), (u32::MAX, 500));
    assert_eq!(Stream::Periodic(0).millihertz(), 1_000_000_000_000);
}

/// Points that share a bound and disagree count with the most that one of them says, in whatever order they come.
#[test]
fn of_points_that_share_a_bound_the_most_counts() {
    let budget = Budget { time: 1_000_000, period: 10_000_000 };
    let at = |most| Stream::Shared { group: 0, points: 1, most, window: 10_000_000 };
    let time = |order: [u32; 2]| {
        let mut sum = Sum::new(&budget);
        order.into_iter().for_each(|most| sum.add(at(most), 100));
        (sum.time(), sum.round())
    };
    let mut alone = Sum::new(&budget);
    alone.add(at(100), 100);
    assert_eq!(time([8, 100]), (alone.time(), alone.round()));
    assert_eq!(time([100, 8]), time([8, 100]));
}

/// The most events that are served in any stretch of so much time (both ends included), where each may be served up to half of the
/// distance late: all patterns of late ones and others.
fn most_served(spacing: u64, time: u64) -> u64 {
    const EVENTS: u64 = 10;
    let mut most = 0;
    for pattern in 0..1u64 << EVENTS {
        let served = |n: u64| n * spacing + if pattern >> n & 1 == 1 { spacing / 2 } else { 0 };
        for first in 0..EVENTS {
            let inside = (first..EVENTS).filter(|n| served(*n) <= served(first) + time).count();
            most = most.max(inside as u64);
        }
    }
    most
}

/// Rule 2 lets an event wait for half of its kind's distance, so that the next one may follow it by half a distance: one more of them
/// falls into some periods than the rate alone says.
#[test]
fn an_event_that_waits_comes_closer_to_the_next_and_is_counted() {
    let mut more = 0;
    for spacing in [2, 4, 6, 10] {
        for time in 0..=4 * spacing {
            let periodic = Stream::Periodic(spacing).events(time);
            assert_eq!(periodic, most_served(spacing, time), "{spacing} {time}");
            let batches = Stream::Batches { spacing, batch: 1, backlog: 3 };
            assert_eq!(batches.events(time), 3 + periodic - 1);
            more += u64::from(periodic > 1 + time / spacing);
        }
    }
    assert!(more > 30, "{more}");
    // Two of them in a budget for two; the same rate in a period that a third one may fall into is refused.
    let world = |period| {
        let budget = Budget { time: 20, period };
        admitted(&budget, &[Kind { spacing: 20, cost: 5, phase: 0 }])
    };
    assert!(world(29) && !world(30));
}
