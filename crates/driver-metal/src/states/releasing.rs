//! `releasing`: workflows removed, machine powered off, claim removed, object let go. A power-off that fails is tried
//! again every minute; after ten minutes the reason asks for a hand, and the trying goes on.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;

use crate::snapshot::{JobEnd, Snapshot};
use crate::step::{Effect, Step};

const AGAIN: SignedDuration = SignedDuration::from_secs(60);

pub(super) fn decide(snapshot: &Snapshot, now: Timestamp) -> Step {
    if !snapshot.held() {
        return Step::Done;
    }
    if !snapshot.workflows.is_empty() {
        return Step::Do(Effect::RemoveWorkflows);
    }
    let Some(server) = snapshot.claimed() else {
        return Step::Do(Effect::RemoveFinalizer);
    };
    if server.spec.bmc.is_none() {
        return Step::Do(Effect::Unclaim);
    }
    let prefix = format!("poweroff-{}-", snapshot.machine.name_any());
    let tried = snapshot
        .jobs
        .keys()
        .filter(|name| name.starts_with(&prefix))
        .count();
    let Some((end, message)) = tried
        .checked_sub(1)
        .and_then(|last| snapshot.job(&format!("{prefix}{last}")))
    else {
        return Step::Do(Effect::PowerOff {
            job: format!("{prefix}{tried}"),
        });
    };
    match end {
        JobEnd::Completed => Step::Do(Effect::Unclaim),
        JobEnd::Running => wait(format!("powers {} off", server.name_any()), now),
        JobEnd::Failed => {
            let tries = i32::try_from(tried).unwrap_or(i32::MAX);
            let due = snapshot
                .since(now)
                .saturating_add(AGAIN.saturating_mul(tries))
                .unwrap_or(Timestamp::MAX);
            if now >= due {
                return Step::Do(Effect::PowerOff {
                    job: format!("{prefix}{tried}"),
                });
            }
            let hint = if tried >= 10 {
                "; mend the BMC connection"
            } else {
                ""
            };
            wait(
                format!(
                    "cannot power {} off ({message}), tried {tried} times{hint}",
                    server.name_any()
                ),
                now,
            )
        }
    }
}

fn wait(reason: String, now: Timestamp) -> Step {
    let until = now.saturating_add(AGAIN).unwrap_or(Timestamp::MAX);
    Step::Wait {
        reason,
        until: Some(until),
        percent: None,
    }
}
