//! The controller is killed at every one of its writes, before it and between it and what follows from it, and another one,
//! which knows nothing but the objects and the provider, goes on.

use std::sync::Arc;
use std::time::Duration;

use driver_sim::MemoryProvider;
use futures::StreamExt as _;
use kube::api::ListParams;
use resources::gantry::{ProviderMachine, ProviderMachinePhase};
use sim::Life;

use crate::world::{NAMESPACE, World};

/// Worlds at once.
const SIDE_BY_SIDE: usize = 4;
/// More writes than any operation takes.
const MOST: usize = 40;
const LOOK: Duration = Duration::from_millis(20);

/// How a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Instead of the write.
    Before,
    /// After the write, whose answer is heard by nobody.
    After,
}

impl End {
    fn life(self, writes: usize) -> Life {
        match self {
            Self::Before => Life::of(writes),
            Self::After => Life::without_last_answer(writes),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Operation {
    Create,
    Delete,
}

impl Operation {
    async fn is_done(self, world: &World) -> bool {
        let machine = world
            .site
            .api::<ProviderMachine>()
            .get_opt("prod-1")
            .await
            .unwrap();
        match self {
            Self::Create => {
                let status = machine.and_then(|machine| machine.status);
                status.is_some_and(|status| status.phase == ProviderMachinePhase::Running)
            }
            Self::Delete => machine.is_none(),
        }
    }

    /// Carried out by a controller with so many writes, and then by one that lives. Tells whether the first was killed.
    async fn carry_out(self, world: &World, life: &Life) -> bool {
        let controller = world.run_on(life.client(&world.site.client(), NAMESPACE));
        let killed = loop {
            if life.is_over() {
                break true;
            }
            if self.is_done(world).await {
                break false;
            }
            tokio::time::sleep(LOOK).await;
        };
        controller.kill().await;
        let controller = world.run();
        match self {
            Self::Create => {
                world.running("prod-1").await;
                assert_eq!(world.objects("prod-1").len(), 1, "one machine");
            }
            Self::Delete => {
                world.site.gone::<ProviderMachine>("prod-1").await;
                assert!(world.objects("prod-1").is_empty(), "nothing is left");
            }
        }
        controller.kill().await;
        killed
    }
}

/// Whether the controllers of creation and of deletion were killed after so many writes.
async fn create_and_delete(provider: Arc<MemoryProvider>, (end, writes): (End, usize)) -> [bool; 2] {
    let world = World::with(provider, None, |_| {}).await;
    world.ready().await;
    world.want("prod-1").await;
    let created = Operation::Create.carry_out(&world, &end.life(writes)).await;
    world.delete("prod-1").await;
    let deleted = Operation::Delete.carry_out(&world, &end.life(writes)).await;
    let left = world
        .site
        .api::<ProviderMachine>()
        .list(&ListParams::default())
        .await;
    assert!(left.unwrap().items.is_empty());
    world.stop().await;
    [created, deleted]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_write_of_creation_and_deletion() {
    for end in [End::Before, End::After] {
        let mut kills = [0, 0];
        let first = usize::from(end == End::After);
        let worlds = (first..MOST).map(|writes| async move {
            // One for each: machines have the same name in all of them.
            let provider = Arc::new(MemoryProvider::start().await.unwrap());
            create_and_delete(provider, (end, writes)).await
        });
        let mut worlds = futures::stream::iter(worlds).buffered(SIDE_BY_SIDE);
        let mut ended = false;
        while let Some(killed) = worlds.next().await {
            for (count, killed) in kills.iter_mut().zip(killed) {
                *count += usize::from(killed);
            }
            if killed == [false, false] {
                ended = true;
                break;
            }
        }
        eprintln!(
            "{end:?}: killed at {} writes of creation and {} of deletion",
            kills[0], kills[1]
        );
        assert!(ended, "no end after {MOST} writes: {kills:?}");
        assert!(kills[0] >= 8 && kills[1] >= 6, "{kills:?}");
    }
}
