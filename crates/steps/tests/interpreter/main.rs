//! The interpreter over a world of one object.
#![allow(clippy::unwrap_used, clippy::panic)]

mod recorder;
mod world;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use steps::{Step, later};

use recorder::Metrics;
use world::{Decide, Decided, Effect, Failure, Snapshot, State, World, at};

fn a_minute_from_now(_: &Snapshot, now: Timestamp) -> Decided {
    Step::wait("for a lease", later(now, SignedDuration::from_mins(1)))
}

#[test]
fn an_object_at_rest_is_not_written_and_reports_nothing() {
    let cases: [(&str, Decide, Option<u64>, usize); 4] = [
        (
            "a wait that is counted from now",
            a_minute_from_now,
            Some(60_000),
            1,
        ),
        (
            "a wait with a fixed end",
            |_, _| Step::wait("for a lease", at(30)),
            Some(30_100),
            1,
        ),
        ("rest", |_, _| Step::done("free"), None, 1),
        ("rest with the reason that stands", |_, _| Step::rest(), None, 0),
    ];
    for (what, decide, again, written) in cases {
        let (world, metrics) = (World::new(decide), Metrics::default());
        let rest = metrics.run(&world, at(0)).unwrap();
        assert_eq!(rest.again, again.map(Duration::from_millis), "{what}");
        assert_eq!(world.writes(), written, "{what}: the first decision is recorded");
        for second in 1..5 {
            metrics.run(&world, at(second)).unwrap();
        }
        assert_eq!(world.writes(), written, "{what}");
        assert!(world.events().is_empty() && metrics.all().is_empty(), "{what}");
    }
}

#[test]
fn a_state_is_committed_and_reported_before_anything_is_done_in_it() {
    let (world, metrics) = (
        World::new(|snapshot, _| match snapshot.state() {
            State::New => Step::go(State::Armed, "a workflow runs"),
            State::Armed if !snapshot.done => Step::Do(Effect::Succeed),
            State::Armed => Step::wait("for its agent", at(600)).with_percent(Some(3)),
            State::Failed => Step::rest(),
        }),
        Metrics::default(),
    );
    world.since(at(-40));
    metrics.run(&world, at(2)).unwrap();
    let expected = [
        "write armed",
        "event Normal Armed: a workflow runs",
        "effect in committed armed",
        "write armed",
    ];
    assert_eq!(world.history(), expected);
    let record = world.record();
    assert_eq!(
        (record.since, record.deadline, record.percent),
        (Some(at(2)), Some(at(600)), Some(3))
    );
    assert_eq!(record.reason.as_deref(), Some("for its agent"));
    let expected = [
        ("gantry_state_seconds{kind=sample,state=new}", 42.0),
        (
            "gantry_state_transitions_total{from=new,kind=sample,to=armed}",
            1.0,
        ),
    ];
    assert_eq!(
        metrics.all(),
        expected.map(|(name, value)| (name.to_owned(), value))
    );
}

#[test]
fn a_wait_whose_time_is_up_gets_its_failure_exit() {
    let world = World::new(|snapshot, now| match snapshot.state() {
        State::Failed => Step::rest(),
        _ => Step::wait("for its agent", at(60)).or_at_deadline(now, |reason| {
            Step::go(State::Failed, format!("gave up waiting {reason}"))
        }),
    });
    let metrics = Metrics::default();
    let rest = metrics.run(&world, at(0)).unwrap();
    assert_eq!(
        rest.again,
        Some(Duration::from_secs(60)),
        "it is looked at when the time is up"
    );
    metrics.run(&world, at(59)).unwrap();
    assert_eq!(world.record().state, State::New);
    let rest = metrics.run(&world, at(60)).unwrap();
    assert_eq!(rest.again, None);
    let record = world.record();
    assert_eq!(
        (record.state, record.since, record.deadline),
        (State::Failed, Some(at(60)), None)
    );
    assert_eq!(
        world.events(),
        ["Warning SampleFailed: gave up waiting for its agent"]
    );
}

#[test]
fn a_wait_without_a_failure_exit_is_counted_when_its_time_is_up() {
    let (world, metrics) = (
        World::new(|_, _| Step::wait("for its agent", at(60))),
        Metrics::default(),
    );
    metrics.run(&world, at(59)).unwrap();
    assert!(metrics.all().is_empty());
    let rest = metrics.run(&world, at(60)).unwrap();
    assert_eq!(rest.again, Some(Duration::from_secs(1)));
    metrics.run(&world, at(61)).unwrap();
    let expected = "gantry_overdue_waits_total{kind=sample,state=new}".to_owned();
    assert_eq!(metrics.all(), [(expected, 2.0)]);
    assert_eq!(world.writes(), 1);
}

#[test]
fn an_effect_that_fails_ends_the_run_and_is_tried_again_by_the_next() {
    let world = World::new(|snapshot, _| match snapshot.state() {
        State::New => Step::go(State::Armed, "a workflow runs"),
        _ => Step::Do(Effect::Fail),
    });
    let metrics = Metrics::default();
    assert_eq!(metrics.run(&world, at(0)).unwrap_err(), Failure);
    assert_eq!(
        world.record().state,
        State::Armed,
        "what was decided before stays decided"
    );
    assert_eq!(metrics.run(&world, at(5)).unwrap_err(), Failure);
    assert_eq!(world.effects(), 2);
    assert_eq!(world.events().len(), 1);
    assert_eq!(world.record().since, Some(at(0)));
}

#[test]
fn an_effect_without_progress_is_bounded() {
    let (world, metrics) = (World::new(|_, _| Step::Do(Effect::Nothing)), Metrics::default());
    let rest = metrics.run(&world, at(0)).unwrap();
    assert_eq!((world.effects(), world.writes()), (32, 0));
    assert_eq!(
        rest.again,
        Some(Duration::from_secs(1)),
        "others are served meanwhile"
    );
    let expected = "gantry_steps_without_rest_total{kind=sample}".to_owned();
    assert_eq!(metrics.all(), [(expected, 1.0)]);
}

#[test]
fn states_that_flip_are_bounded_and_nothing_of_them_is_written() {
    let world = World::new(|snapshot, _| match snapshot.state() {
        State::New => Step::go(State::Armed, "there"),
        _ => Step::go(State::New, "and back"),
    });
    let metrics = Metrics::default();
    let rest = metrics.run(&world, at(0)).unwrap();
    assert!(world.history().is_empty());
    assert_eq!(rest.again, Some(Duration::from_secs(1)));
    let expected = "gantry_steps_without_rest_total{kind=sample}".to_owned();
    assert_eq!(metrics.all(), [(expected, 1.0)]);
}

#[test]
fn states_passed_without_an_effect_are_one_write_and_each_is_reported() {
    let world = World::new(|snapshot, _| match snapshot.state() {
        State::New if !snapshot.noted => Step::Do(Effect::Apply),
        State::New => Step::go(State::Armed, "a workflow runs"),
        State::Armed => Step::Do(Effect::End),
        State::Failed => Step::rest(),
    });
    Metrics::default().run(&world, at(0)).unwrap();
    let expected = [
        "write failed, noted",
        "event Normal Armed: a workflow runs",
        "event Warning SampleFailed: it was deleted",
    ];
    assert_eq!(world.history(), expected);
    assert_eq!(world.observed(), 1);
}

#[test]
fn what_an_effect_found_is_taken_without_another_look() {
    let world = World::new(|snapshot, _| match snapshot.state() {
        State::New => Step::Do(Effect::Find),
        _ => Step::rest(),
    });
    Metrics::default().run(&world, at(0)).unwrap();
    assert_eq!(
        world.record().reason.as_deref(),
        Some("the template has no action")
    );
    assert_eq!((world.observed(), world.effects()), (1, 1));
}

#[test]
fn what_an_effect_leaves_in_the_status_is_committed_without_a_change_of_state() {
    let world = World::new(|snapshot, _| match snapshot.noted {
        false => Step::Do(Effect::Note),
        true => Step::rest(),
    });
    Metrics::default().run(&world, at(0)).unwrap();
    assert_eq!((world.effects(), world.observed()), (1, 2));
    assert!(world.events().is_empty());
}

#[test]
fn a_lost_commit_is_decided_again_and_not_reported() {
    let world = World::new(|snapshot, _| match snapshot.state() {
        State::New if snapshot.done => Step::done("somebody else did it"),
        State::New => Step::go(State::Armed, "a workflow runs"),
        _ => Step::rest(),
    });
    world.rival(|stored| stored.done = true);
    let metrics = Metrics::default();
    metrics.run(&world, at(0)).unwrap();
    assert_eq!(world.record().reason.as_deref(), Some("somebody else did it"));
    assert!(world.events().is_empty() && metrics.all().is_empty());
}

#[test]
fn nothing_is_done_in_a_state_that_was_lost() {
    let world = World::new(|snapshot, _| match (snapshot.state(), snapshot.done) {
        (State::New, false) => Step::Do(Effect::Succeed),
        _ => Step::rest(),
    });
    // The observation leaves something to commit before the effect.
    world.observation(|snapshot| snapshot.noted = true);
    world.rival(|stored| stored.done = true);
    Metrics::default().run(&world, at(0)).unwrap();
    assert_eq!(world.effects(), 0);
}

#[test]
fn an_object_that_is_gone_is_nobodys() {
    let world = World::new(|_, _| Step::Do(Effect::Delete));
    let rest = Metrics::default().run(&world, at(0)).unwrap();
    assert!(rest.snapshot.is_none() && rest.again.is_none());
    assert_eq!(world.effects(), 1);
}
