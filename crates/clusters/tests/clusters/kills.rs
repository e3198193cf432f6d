//! The coordinator is killed before every one of its writes, and another one goes on from the objects alone.
//!
//! Creation and replacement are run once for each write: the coordinator makes so many writes and then none, and another
//! one brings it to the end. The other cases are carried out by
//! coordinators of which each makes so many writes and is killed, so that a kill falls before every write of the case.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicUsize;

use clusters_sim::{Failing, Leaves, node_of};
use kube::Client;
use kube::api::DeleteParams;
use resources::anywhere::Cluster;
use resources::gantry::{ControlPlane, ProviderMachine};

use crate::world::{World, is_dead};

/// What the coordinator is to carry out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Create,
    CreateThree,
    ScaleUp,
    ScaleDown,
    Replace,
    Remediate,
    FirstBoot,
    Delete,
}

impl Case {
    /// The world in which it begins.
    async fn begin(self) -> World {
        let world = World::new().await;
        match self {
            Self::Create => world.apply_documents().await,
            Self::CreateThree => world.apply_documents_with(3).await,
            Self::FirstBoot => {
                world.apply_documents_with(3).await;
                world.add_hardware("f", "cp").await;
                let fails = |times, leaves| Failing { times, leaves };
                let mut driver = world.driver();
                driver.failing.insert("a".to_owned(), fails(1, Leaves::Nothing));
                driver.failing.insert("b".to_owned(), fails(9, Leaves::Nothing));
                driver.failing.insert("d".to_owned(), fails(1, Leaves::Learner));
                driver.failing.insert("e".to_owned(), fails(1, Leaves::Nothing));
            }
            Self::Remediate => {
                world.apply_documents_with(3).await;
                world.add_hardware("f", "cp").await;
                world.drive_to_ready().await;
                let dead = world.control_planes().await.remove(1);
                let node = node_of(&world.host(&dead));
                world
                    .inside
                    .with(|inside| inside.power_off(&node, jiff::SignedDuration::from_mins(6)));
            }
            Self::ScaleUp | Self::ScaleDown | Self::Replace | Self::Delete => {
                world.apply_documents().await;
                world.drive_to_ready().await;
                if self == Self::ScaleDown {
                    world.scale_workers(2).await;
                    world
                        .drive("two", async |world: &World| world.workers().await.len() == 2)
                        .await;
                    world.drive_to_ready().await;
                }
                match self {
                    Self::ScaleUp => world.scale_workers(2).await,
                    Self::ScaleDown => world.scale_workers(1).await,
                    Self::Replace => {
                        let worker = world.workers().await.remove(0);
                        world.delete_machine(&worker).await;
                    }
                    _ => {
                        let clusters = world.api::<Cluster>();
                        clusters.delete("demo", &DeleteParams::default()).await.unwrap();
                    }
                }
            }
        }
        world
    }

    const fn machines(self) -> (usize, usize) {
        match self {
            Self::Create | Self::Replace | Self::ScaleDown => (1, 1),
            Self::CreateThree | Self::Remediate | Self::FirstBoot => (3, 1),
            Self::ScaleUp => (1, 2),
            Self::Delete => (0, 0),
        }
    }

    async fn is_done(self, world: &World) -> bool {
        if self == Self::Delete {
            return world.cluster().await.is_none();
        }
        let machines = (world.control_planes().await.len(), world.workers().await.len());
        let status = world
            .cluster()
            .await
            .and_then(|cluster| cluster.status)
            .unwrap_or_default();
        let ready = status
            .conditions
            .iter()
            .any(|known| known.type_ == "Ready" && known.status == "True");
        let dead = world.inside.with(|inside| inside.voters().0 != inside.voters().1);
        machines == self.machines() && ready && !dead && world.is_at_rest().await
    }

    async fn check(self, world: &World, writes: usize) {
        let what = format!("{self:?} after {writes} writes: {:#?}", world.log());
        let inits = usize::from(self != Self::Delete || world.count("init") == 1);
        assert_eq!(world.count("init"), inits, "{what}");
        if self != Self::Delete {
            assert_eq!(world.inside.with(|inside| inside.lost_quorum), None, "{what}");
        }
        let machines = world.machines().await;
        let uids: BTreeSet<String> = machines
            .iter()
            .map(|machine| machine.spec.machine_uid.clone())
            .collect();
        assert_eq!(uids.len(), machines.len(), "{what}");
        let claims = world.driver().claims().len();
        assert_eq!(
            claims,
            machines.len(),
            "no server is held for a machine that is gone: {what}"
        );
        assert_eq!(world.tokens(), 0, "{what} {:?}", world.secrets().await);
        if self == Self::Delete {
            assert_eq!(world.secrets().await, [""; 0], "{what}");
            assert_eq!(world.names::<ProviderMachine>().await, [""; 0], "{what}");
        } else {
            let control_plane: ControlPlane = world.api().get("demo").await.unwrap();
            assert_eq!(control_plane.spec.disruption, None, "{what}");
            let joins = world.count("join");
            assert!(joins < 8, "{what}");
        }
    }

    /// Runs with so many writes, then to the end. Tells whether the coordinator was killed.
    async fn run(self, writes: usize) -> bool {
        let world = self.begin().await;
        let (client, dead): (Client, std::sync::Arc<AtomicUsize>) = world.dying_client(writes);
        world
            .drive_until_dead(&client, &dead, async |world: &World| self.is_done(world).await)
            .await;
        let killed = is_dead(&dead);
        world
            .drive("done", async |world: &World| self.is_done(world).await)
            .await;
        self.check(&world, writes).await;
        killed
    }

    /// Until a coordinator comes to the end with the writes that it has. How many that are varies a little: a status is
    /// written when its text changes, and a turn may fall before or after that.
    async fn every_write(self) {
        let mut writes = 0;
        while self.run(writes).await {
            writes += 1;
            assert!(writes < 400, "{self:?}");
        }
        assert!(writes >= 20, "{self:?} is done with {writes} writes");
        eprintln!("{self:?}: killed before each of {writes} writes");
    }
}

impl Case {
    /// Each coordinator makes so many writes and is killed. With fewer than three none would get past the writes that it
    /// begins with: a number is taken before the plan of that number is stored.
    async fn in_a_row(self, writes: usize) {
        let world = self.begin().await;
        let mut lives = 0;
        loop {
            let (client, dead) = world.dying_client(writes);
            world
                .drive_until_dead(&client, &dead, async |world: &World| self.is_done(world).await)
                .await;
            lives += 1;
            assert!(lives < 120, "{self:?}: {}", world.state().await);
            if !is_dead(&dead) {
                break;
            }
            world.react().await;
        }
        self.check(&world, writes).await;
        eprintln!("{self:?}: carried out by {lives} coordinators of {writes} writes each");
    }

    async fn by_short_lives(self) {
        for writes in 3..=6 {
            self.in_a_row(writes).await;
        }
    }
}

#[tokio::test]
async fn create() {
    Case::Create.every_write().await;
}

#[tokio::test]
async fn replace() {
    Case::Replace.every_write().await;
}

#[tokio::test]
async fn create_three() {
    Case::CreateThree.by_short_lives().await;
}

#[tokio::test]
async fn scale_up() {
    Case::ScaleUp.by_short_lives().await;
}

#[tokio::test]
async fn scale_down() {
    Case::ScaleDown.by_short_lives().await;
}

#[tokio::test]
async fn remediate() {
    Case::Remediate.by_short_lives().await;
}

#[tokio::test]
async fn first_boots_that_fail() {
    Case::FirstBoot.by_short_lives().await;
}

#[tokio::test]
async fn delete() {
    Case::Delete.by_short_lives().await;
}
