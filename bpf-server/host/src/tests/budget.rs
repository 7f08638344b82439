//! Time: what is attached as long as there is some, and what has no share of it.
use super::*;

fn attach_costing(host: &mut Host, fake: &mut Fake, id: u32, point: &str, cost: u64, client: u64) -> Reply {
    attach_instead(host, fake, id, point, cost, client, None)
}

fn attach_instead(
    host: &mut Host,
    fake: &mut Fake,
    id: u32,
    point: &str,
    cost: u64,
    client: u64,
    replaces: Option<u32>,
) -> Reply {
    let request = Request::Attach {
        numbers: Numbers {
            program: ProgramId(id),
            page: 0,
            pages: 1,
            slots: 1,
            replaces: replaces.map(ProgramId),
            cost,
            client: ClientBadge::new(client),
        },
        point,
        name: "",
        grants: None,
        maps: &[],
        kept: false,
    };
    host.handle(&request, fake)
}

fn limit(reply: Reply) -> Option<Limit> {
    match reply {
        Reply::Refused(Refusal::Overload(why)) => Some(why.limit),
        Reply::Done => None,
        other => panic!("{other:?}"),
    }
}

fn host_with_budget() -> Host {
    let mut host = Host::new(Clock::new(1_000_000_000), log);
    // 1 ms in 10: programs have 500 us of it, one client 250.
    host.set_budget(Budget { time: 1_000_000, period: 10_000_000 }, 1000);
    host
}

#[test]
fn a_program_is_attached_as_long_as_there_is_time_for_it() {
    let (mut host, mut fake) = (host_with_budget(), Fake::new());
    // Eleven events a period.
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 1, "timer/1000hz", 22_000, 1)), None);
    let refused = attach_costing(&mut host, &mut fake, 2, "timer/1000hz", 1000, 1);
    assert_eq!(
        refused,
        Reply::Refused(Refusal::Overload(Overload {
            limit: Limit::Share,
            millihertz: 1_000_000,
            needs: 11,
            left: 8
        }))
    );
    // Another client's, and one that the manifest names, until the half is used up.
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 3, "timer/1000hz", 20_000, 2)), None);
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 4, "timer/1000hz", 4000, 0)), Some(Limit::Budget));
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 4, "timer/1000hz", 3000, 0)), None);
    // Nothing of what was refused is left behind.
    assert_eq!(host.point("timer/1000hz").map(|p| host.attached(p)), Some(3));
    // What is detached is given back.
    assert_eq!(host.handle(&Request::Detach { program: ProgramId(1) }, &mut fake), Reply::Done);
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 5, "timer/1000hz", 22_000, 1)), None);
}

#[test]
fn a_replacement_takes_the_time_of_what_it_replaces() {
    let (mut host, mut fake) = (host_with_budget(), Fake::new());
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 1, "timer/1000hz", 22_000, 1)), None);
    assert_eq!(
        limit(attach_instead(&mut host, &mut fake, 2, "timer/1000hz", 23_000, 1, Some(1))),
        Some(Limit::Share)
    );
    assert_eq!(limit(attach_instead(&mut host, &mut fake, 2, "timer/1000hz", 21_000, 1, Some(1))), None);
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 3, "timer/1000hz", 1000, 1)), None);
    // A number that is not there replaces nothing, whatever it costs.
    let wrong = attach_instead(&mut host, &mut fake, 4, "timer/1000hz", 0, 1, Some(1));
    assert_eq!(wrong, Reply::Refused(Refusal::NoSuchProgram));
}

#[test]
fn a_point_that_is_refused_is_not_opened() {
    let (mut host, mut fake) = (host_with_budget(), Fake::new());
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 1, "timer/10hz", 600_000, 1)), Some(Limit::Budget));
    assert_eq!((host.points(), fake.opened), (0, 0));
    // Each alone is small, but the fast one would wait for the slow one.
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 2, "timer/10hz", 240_000, 1)), None);
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 3, "timer/2000hz", 10, 1)), Some(Limit::Waiting));
    assert_eq!((host.points(), fake.opened), (1, 1));
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 3, "timer/1000hz", 10, 1)), None);
}

#[test]
fn a_rate_that_the_programs_have_no_time_for_changes_nothing() {
    let (mut host, mut fake) = (host_with_budget(), Fake::new());
    let points = ["iio/x/y", "iio/x/z"].map(|name| host.add_point(name).unwrap());
    // Nobody samples: nothing is needed.
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 1, "iio/x/y", 20_000, 1)), None);
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 2, "iio/x/z", 20_000, 2)), None);
    let at = |hz: u64| Stream::Periodic(1_000_000_000 / hz);
    assert_eq!(host.set_stream(&points, at(1000)), Ok(()));
    let refused = host.set_stream(&points, at(2000)).unwrap_err();
    assert_eq!((refused.limit, refused.needs, refused.millihertz), (Limit::Budget, 400, 2_000_000));
    assert_eq!((host.stream(points[0]), host.stream(points[1])), (at(1000), at(1000)));
    // The rate that is there counts for what comes.
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 3, "iio/x/y", 6000, 3)), Some(Limit::Budget));
    assert_eq!(host.set_stream(&points, at(500)), Ok(()));
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 3, "iio/x/y", 6000, 3)), None);
    assert_eq!(host.set_stream(&points, Stream::Silent), Ok(()));
}

/// A program that waits for a silent sensor needs nothing yet: what it will need is held against its client's share when the sensor
/// starts.
#[test]
fn a_rate_gives_no_client_more_than_its_share() {
    let at = |hz: u64| Stream::Periodic(1_000_000_000 / hz);
    for owners in [[1, 1], [1, 0], [1, 2]] {
        let (mut host, mut fake) = (host_with_budget(), Fake::new());
        let points = ["iio/x/y", "iio/x/z"].map(|name| host.add_point(name).unwrap());
        assert_eq!(limit(attach_costing(&mut host, &mut fake, 1, "iio/x/y", 20_000, owners[0])), None);
        assert_eq!(limit(attach_costing(&mut host, &mut fake, 2, "iio/x/z", 20_000, owners[1])), None);
        // Eleven events of 40 us a period are 440 us: more than the 250 us of one client, less than the 500 us of all.
        let started = host.set_stream(&points, at(1000)).map_err(|why| why.limit);
        let expected = if owners == [1, 1] { Err(Limit::Share) } else { Ok(()) };
        assert_eq!(started, expected, "{owners:?}");
        assert_eq!(host.stream(points[0]), if started.is_ok() { at(1000) } else { Stream::Silent });
        // Slower, both have time; and going slower yet is never refused.
        assert_eq!(host.set_stream(&points, at(500)), Ok(()));
        assert_eq!(host.set_stream(&points, at(100)), Ok(()));
    }
}

#[test]
fn a_slower_machine_has_less_time_and_without_a_budget_nothing_is_counted() {
    let (mut host, mut fake) = (host_with_budget(), Fake::new());
    host.set_budget(Budget { time: 1_000_000, period: 10_000_000 }, 2500);
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 1, "timer/1000hz", 10_000, 1)), Some(Limit::Share));
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 1, "timer/1000hz", 9_000, 1)), None);
    let mut host = Host::new(Clock::new(1_000_000_000), log);
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 1, "timer/1000hz", u64::MAX, 1)), None);
    assert_eq!(host.room_for(0), None);
}

#[test]
fn edges_are_counted_once_and_as_many_are_let_through_as_fit() {
    let (mut host, mut fake) = (host_with_budget(), Fake::new());
    assert_eq!(host.room_for(0), None);
    // Twenty edges in a period, each of which concerns two points at most.
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 1, "gpio/x/1/both", 10_000, 0)), None);
    assert_eq!(host.room_for(0), Some(50));
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 2, "gpio/x/2/both", 14_000, 0)), None);
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 3, "gpio/x/3/both", 9_000, 0)), None);
    assert_eq!(host.room_for(0), Some(20));
    assert_eq!(
        limit(attach_costing(&mut host, &mut fake, 4, "gpio/x/4/both", 12_000, 0)),
        Some(Limit::Budget)
    );
    // A timer's program leaves less for them.
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 4, "timer/100hz", 5_000, 0)), None);
    assert_eq!(host.room_for(0), Some(20));
    assert_eq!(limit(attach_costing(&mut host, &mut fake, 5, "timer/100hz", 2_000, 0)), None);
    assert_eq!(host.room_for(0), Some(20));
    assert_eq!(host.handle(&Request::Detach { program: ProgramId(2) }, &mut fake), Reply::Done);
    assert_eq!(host.room_for(0), Some(25));
}
