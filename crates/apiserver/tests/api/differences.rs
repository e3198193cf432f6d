//! The same requests to kube-apiserver (with etcd and kube-controller-manager, all built by the image recipes) and to
//! this server; the answers and the objects that remain are compared.
//!
//! A [`Case`] is a program that is run once against each server and writes down what it sees in a [`Transcript`].
//! Differences that are wanted are entries of `accepted.json`, each with its reason; an entry that no longer matches
//! a difference fails the test, as an unlisted difference does.
//!
//! Beside the cases, [`sequences`] sends seeded writes. `SEQUENCES=100..400` says which seeds, `CASE=sequences` that only
//! they run.
//!
//! The test is ignored by default, because the programs take minutes to build. CI builds them first and then runs
//! `cargo test --test api -- --ignored answers_are_those_of_kubernetes`; without the programs that fails.

mod accepted;
mod definitions;
mod deletion;
mod ownership;
mod real;
mod scales;
mod sequences;
mod side;
mod subresources;
mod transcript;

use std::pin::Pin;

use accepted::Accepted;
use real::RealServer;
use side::Side;
use transcript::{Difference, Transcript};

use crate::fixture::Fixture;

type Run = Pin<Box<dyn Future<Output = Transcript> + Send>>;

/// A program of requests. Cases run at the same time, so each one has its own namespaces and API groups.
struct Case {
    name: &'static str,
    run: fn(Side) -> Run,
}

fn cases() -> Vec<Case> {
    [
        deletion::cases(),
        subresources::cases(),
        scales::cases(),
        definitions::cases(),
        ownership::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

async fn differences(case: Case, real: Side, ours: Side) -> Vec<Difference> {
    let (real, ours) = tokio::join!((case.run)(real), (case.run)(ours));
    transcript::differences(case.name, &real, &ours)
}

/// The seeds of this run, the last not included.
fn seeds() -> (u64, u64) {
    let Ok(text) = std::env::var("SEQUENCES") else {
        return (0, 60);
    };
    let range = text
        .split_once("..")
        .and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    range.unwrap_or_else(|| panic!("SEQUENCES={text} is no range like 100..400"))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs kube-apiserver, kube-controller-manager and etcd: gantry image build kubernetes etcd"]
async fn answers_are_those_of_kubernetes() {
    let real = RealServer::start().await;
    let fixture = Fixture::new().await;
    let sides = || (Side::new(real.client.clone()), Side::new(fixture.client.clone()));
    let only = std::env::var("CASE").ok();
    let chosen = |case: &Case| only.as_ref().is_none_or(|only| case.name == only);
    let runs = cases().into_iter().filter(chosen).map(|case| {
        let (real, ours) = sides();
        differences(case, real, ours)
    });
    let mut found: Vec<Difference> = futures::future::join_all(runs).await.concat();
    if only.as_ref().is_none_or(|only| only == "sequences") {
        let (first, last) = seeds();
        let (real, ours) = sides();
        found.extend(sequences::differences(&real, &ours, first, last).await);
    }
    let mut accepted = Accepted::read();
    let unlisted: Vec<String> = found
        .iter()
        .filter(|difference| !accepted.covers(difference))
        .map(ToString::to_string)
        .collect();
    println!(
        "{} differences, {} of them not accepted",
        found.len(),
        unlisted.len()
    );
    assert!(unlisted.is_empty(), "not accepted:\n{}", unlisted.join("\n"));
    if only.is_none() {
        let stale = accepted.unused();
        assert!(stale.is_empty(), "accepted, but not seen: {stale:?}");
    }
}
