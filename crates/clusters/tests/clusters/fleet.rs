//! What many clusters cost of the appliance's API: nothing of it grows with their number, and at rest nothing is listed.

use std::collections::BTreeMap;

use clusters_sim::Fleet;
use sim::Request;

/// Requests by verb that so many clusters take until they are made, and in two looks at all of them at rest.
async fn cost(count: usize) -> (BTreeMap<&'static str, u64>, BTreeMap<Request, u64>) {
    let fleet = Fleet::new(count).await;
    fleet.make().await;
    fleet.settle().await;
    let made = fleet.requests();
    fleet.look().await;
    fleet.look().await;
    let rest = fleet.requests().into_iter();
    let rest = rest.map(|(request, now)| {
        let before = made.get(&request).copied().unwrap_or(0);
        (request, now - before)
    });
    let rest = rest.filter(|(_, count)| *count > 0).collect();
    fleet.check().await;
    let mut verbs = BTreeMap::new();
    for (request, count) in made {
        *verbs.entry(request.verb).or_default() += count;
    }
    (verbs, rest)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_at_rest_lists_and_writes_nothing_and_many_cost_no_more_each() {
    let ((few, rest_of_few), (many, rest_of_many)) = (cost(10).await, cost(40).await);
    for rest in [&rest_of_few, &rest_of_many] {
        let only_gets = rest.keys().all(|request| request.verb == "get");
        assert!(only_gets, "at rest a cluster is read and nothing else: {rest:#?}");
    }
    for verb in ["get", "list", "watch", "create", "update", "patch", "delete"] {
        let of = |verbs: &BTreeMap<_, _>| verbs.get(verb).copied().unwrap_or(0);
        let (few, many) = (of(&few), of(&many));
        // The coordinator's first lists, and what is asked once for all clusters, count for few as for many.
        let most = few * 4 + few / 4 * 4;
        assert!(many <= most, "{verb}: {many} for 40 clusters, {few} for 10");
    }
}
