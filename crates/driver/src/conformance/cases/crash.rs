//! K: drivers that are killed, at each of their requests. A kill after the reply to a request is one before the next
//! request, so two moments are enough.

use crate::conformance::case::{Case, case};
use crate::conformance::driven::Driven;
use crate::conformance::hooks::Hook;
use crate::conformance::order::Order;
use crate::conformance::proxy::{Fate, Proxy, Rule};
use crate::conformance::subject::Subject;
use crate::conformance::verdict::{Checked, Problem, ensure};
use crate::v1::Phase;

pub(super) const CASES: &[Case] = &[
    case!(
        "K1",
        "makes one machine when it is killed at any request",
        killed_while_making
    ),
    case!(
        "K2",
        "leaves nothing when it is killed at any request of a deletion",
        killed_while_deleting
    ),
    case!(
        "K4",
        "finds in the list what a core without memory has made",
        found_by_a_new_core
    ),
    case!("K6", "makes one machine when replies are lost", lost_replies),
];

/// What the core still has after the kill.
#[derive(Debug, Clone, Copy)]
enum Memory {
    /// The driver's state of the last answer.
    Kept,
    /// Its intent alone.
    Lost,
}

const KILLS: [(Fate, Memory); 4] = [
    (Fate::KilledBefore, Memory::Kept),
    (Fate::KilledBefore, Memory::Lost),
    (Fate::KilledAfter, Memory::Kept),
    (Fate::KilledAfter, Memory::Lost),
];

/// More requests than any driver needs for one machine.
const MOST_REQUESTS: u32 = 10_000;

async fn killed_while_making(subject: &Subject) -> Checked {
    let (proxy, scope) = subject.proxied().await?;
    for (fate, memory) in KILLS {
        for from in 0..MOST_REQUESTS {
            let mut order = subject.order_in(scope.clone());
            let at = format!("{fate:?} at request {from}, state {memory:?}");
            let mut driven = subject.start().await?;
            proxy.follow(Some(Rule { from, count: 1, fate }), Some(driven.process.pid()));
            let made = driven.create(&mut order).await;
            if proxy.requests() <= from {
                // Every request has had its turn.
                proxy.follow(None, None);
                made?;
                finish(subject, &driven, &mut order, &at).await?;
                break;
            }
            drop(made);
            driven = again(subject, driven, &proxy, &mut order, memory).await?;
            let made = driven
                .create(&mut order)
                .await
                .map_err(|problem| told(&at, problem))?;
            ensure!(made.phase() == Phase::Running, "{at}: the machine does not run");
            finish(subject, &driven, &mut order, &at).await?;
        }
    }
    Ok(())
}

/// Another process, after one that was killed.
async fn again(
    subject: &Subject,
    driven: Driven,
    proxy: &Proxy,
    order: &mut Order,
    memory: Memory,
) -> Result<Driven, Problem> {
    driven.process.kill().await;
    proxy.follow(None, None);
    if let Memory::Lost = memory {
        order.forget();
    }
    subject.start().await
}

fn told(at: &str, problem: Problem) -> Problem {
    match problem {
        Problem::Failed(text) => Problem::Failed(format!("{at}: {text}")),
        other => other,
    }
}

/// Exactly one machine was made; then none is left.
async fn finish(subject: &Subject, driven: &Driven, order: &mut Order, at: &str) -> Checked {
    let count = driven.list(&order.scope, &subject.owner()).await?.len();
    ensure!(count == 1, "{at}: there are {count} machines and not one");
    driven.delete(order).await.map_err(|problem| told(at, problem))?;
    let count = driven.list(&order.scope, &subject.owner()).await?.len();
    ensure!(count == 0, "{at}: {count} machines are left");
    Ok(())
}

async fn killed_while_deleting(subject: &Subject) -> Checked {
    let (proxy, scope) = subject.proxied().await?;
    for (fate, memory) in KILLS {
        for from in 0..MOST_REQUESTS {
            let mut order = subject.order_in(scope.clone());
            let at = format!("{fate:?} at request {from}, state {memory:?}");
            let mut driven = subject.start().await?;
            proxy.follow(None, None);
            driven.create(&mut order).await?;
            proxy.follow(Some(Rule { from, count: 1, fate }), Some(driven.process.pid()));
            let deleted = driven.delete(&mut order).await;
            let last = proxy.requests() <= from;
            if last {
                proxy.follow(None, None);
                deleted?;
            } else {
                drop(deleted);
                driven = again(subject, driven, &proxy, &mut order, memory).await?;
                driven
                    .delete(&mut order)
                    .await
                    .map_err(|problem| told(&at, problem))?;
            }
            let count = driven.list(&order.scope, &subject.owner()).await?.len();
            ensure!(count == 0, "{at}: {count} machines are left");
            if last {
                break;
            }
        }
    }
    Ok(())
}

async fn found_by_a_new_core(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let mut order = subject.order();
    driven.create_once(&mut order).await?;
    driven.process.kill().await;
    let driven = subject.start().await?;
    let listed = driven.list(&order.scope, &subject.owner()).await?;
    let found = listed.iter().filter_map(|machine| machine.owner.as_ref());
    let found = found
        .filter(|owner| owner.machine_uid == order.owner.machine_uid)
        .count();
    ensure!(
        found == 1,
        "the list has {found} machines of the id that was asked for before the crash"
    );
    Ok(())
}

async fn lost_replies(subject: &Subject) -> Checked {
    let (proxy, scope) = subject.proxied().await?;
    let driven = subject.start().await?;
    let before = subject.count(Hook::CountObjects).await.ok();
    for count in [1, 2] {
        for from in 0..MOST_REQUESTS {
            let mut order = subject.order_in(scope.clone());
            let at = format!("{count} replies lost from request {from}");
            proxy.follow(
                Some(Rule {
                    from,
                    count,
                    fate: Fate::ReplyLost,
                }),
                None,
            );
            driven
                .create(&mut order)
                .await
                .map_err(|problem| told(&at, problem))?;
            let last = proxy.requests() <= from;
            proxy.follow(None, None);
            finish(subject, &driven, &mut order, &at).await?;
            if last {
                break;
            }
        }
    }
    subject.none_are_left(before).await
}
