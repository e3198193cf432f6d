//! L: lists, by which orphans are deleted.

use std::collections::BTreeSet;

use http::StatusCode;

use crate::conformance::case::{Case, case};
use crate::conformance::order::uuid;
use crate::conformance::proxy::{Fate, Rule};
use crate::conformance::subject::Subject;
use crate::conformance::verdict::{Checked, ensure};
use crate::v1::Owner;

pub(super) const CASES: &[Case] = &[
    case!(
        "L1",
        "lists every machine once, and says that the list is complete",
        exact_lists
    ),
    case!("L3", "fails when a part of the list can't be had", partial_lists),
    case!(
        "L4",
        "lists no machine of another installation or cluster",
        others
    ),
];

async fn exact_lists(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let (scope, owner) = (subject.parameters.scope(), subject.owner());
    let mut wanted = BTreeSet::new();
    for _ in 0..=subject.parameters.machines {
        let listed = driven.list(&scope, &owner).await?;
        let count = listed.len();
        let ids = listed
            .into_iter()
            .filter_map(|machine| Some(machine.owner?.machine_uid));
        let ids: BTreeSet<String> = ids.collect();
        ensure!(
            ids == wanted && count == wanted.len(),
            "of {} machines it lists {count}",
            wanted.len()
        );
        if wanted.len() < usize::try_from(subject.parameters.machines).unwrap_or_default() {
            let mut order = subject.order();
            driven.create(&mut order).await?;
            wanted.insert(order.owner.machine_uid);
        }
    }
    Ok(())
}

async fn partial_lists(subject: &Subject) -> Checked {
    let (proxy, scope) = subject.proxied().await?;
    let driven = subject.start().await?;
    for _ in 0..subject.parameters.machines {
        driven.create(&mut subject.order()).await?;
    }
    let all = driven.list(&scope, &subject.owner()).await?.len();
    proxy.follow(None, None);
    driven.list(&scope, &subject.owner()).await?;
    for from in 0..proxy.requests() {
        let fate = Fate::Answered(StatusCode::SERVICE_UNAVAILABLE, "text/html", "<html>down</html>");
        proxy.follow(
            Some(Rule {
                from,
                count: u32::MAX,
                fate,
            }),
            None,
        );
        if let Ok(listed) = driven.list(&scope, &subject.owner()).await {
            let count = listed.len();
            ensure!(
                count == all,
                "when request {from} fails it lists {count} of {all} machines as complete"
            );
        }
    }
    Ok(())
}

async fn others(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let mut order = subject.order();
    driven.create(&mut order).await?;
    let owner = subject.owner();
    for (whose, owner) in [
        (
            "another installation",
            Owner {
                installation_id: uuid(),
                ..owner.clone()
            },
        ),
        (
            "another cluster",
            Owner {
                cluster_uid: uuid(),
                ..owner.clone()
            },
        ),
    ] {
        let count = driven.list(&order.scope, &owner).await?.len();
        ensure!(count == 0, "{whose} has {count} machines in its list");
    }
    let whole = Owner {
        cluster_uid: String::new(),
        ..owner
    };
    let count = driven.list(&order.scope, &whole).await?.len();
    ensure!(
        count == 1,
        "the list of the installation has {count} machines and not one"
    );
    Ok(())
}
