//! A node is adopted by coordinators that are killed before each of their writes.

use std::collections::BTreeSet;

use kube::ResourceExt;
use resources::cluster_api::Machine;
use sim::Life;

use super::mortal::Reaches;
use super::{SECOND, WORLDS, made, side_by_side};
use crate::adoption::{done, lose, wish, wishes};
use crate::world::{Followed, NAMESPACE, TURNS, World};

/// Fewest writes that it takes: the candidate, its Machine, and that the wish is fulfilled.
const FEWEST: usize = 3;

#[test]
fn adopt_a_node() {
    side_by_side(0..WORLDS, |first| async move {
        let world = made().await;
        world.scale_workers(2).await;
        world.drive_to_ready().await;
        for writes in (first..).step_by(WORLDS) {
            if adopted_with(&world, writes).await == 0 {
                eprintln!("adopt a node: killed before each of {writes} writes");
                assert!(writes >= FEWEST, "it is done with {writes} writes");
                return;
            }
        }
    });
}

/// With so many writes before the first kill. Tells how many coordinators were killed.
async fn adopted_with(world: &World, writes: usize) -> usize {
    let lost = world.workers().await.remove(0);
    let before = done(world);
    let node = lose(world, &lost).await;
    wish(world, &node, serde_json::json!({})).await;
    let mut killed = 0;
    for writes in [writes, writes % SECOND, usize::MAX] {
        let life = Life::of(writes);
        let client = life.client(&world.client, NAMESPACE);
        let clusters = life.clusters(world.clusters());
        let coordinator = Followed::new(client, &world.options, &clusters);
        if is_adopted_by(world, &coordinator, &life).await {
            break;
        }
        killed += 1;
        world.react().await;
    }
    let what = format!("{killed} kills: {}", world.state().await);
    let providers = world.machines().await;
    let mut names: Vec<String> = providers.iter().map(ResourceExt::name_any).collect();
    names.sort();
    let uids: BTreeSet<&str> = providers
        .iter()
        .map(|provider| provider.spec.machine_uid.as_str())
        .collect();
    let machines = world.names::<Machine>().await;
    assert_eq!((machines, uids.len()), (names, 3), "{what}");
    assert_eq!(world.driver().claims().len(), 3, "{what}");
    assert_eq!(done(world), before, "{what}");
    killed
}

/// Until it is adopted, or the coordinator was killed. Tells whether it is adopted.
async fn is_adopted_by(world: &World, coordinator: &Followed, life: &Life) -> bool {
    for _ in 0..TURNS {
        let result = coordinator.reconcile("demo").await;
        if life.is_over() {
            return false;
        }
        result.unwrap();
        if wishes(world).await.is_empty() && world.workers().await.len() == 2 && world.is_at_rest().await {
            return true;
        }
        world.react().await;
    }
    panic!("it is not adopted: {}", world.state().await);
}
