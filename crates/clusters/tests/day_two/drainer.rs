//! The drain of a played node.

use std::net::SocketAddr;
use std::sync::Mutex;

use clusters::{
    Controller, Drain, DrainPolicy, Drainer, Eviction, NodeError, NodeOccupancy, Nodes, PodId, PodView,
    Readiness,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};

/// A node whose pods end as soon as they are evicted, unless their name says otherwise.
#[derive(Default)]
struct World(Mutex<State>);

#[derive(Default)]
struct State {
    node: NodeOccupancy,
    evictions: Vec<String>,
    /// A controller puts a pod onto the node for each that is evicted.
    floods: bool,
    fails: bool,
}

fn pod(name: &str, uid: usize) -> PodView {
    PodView {
        id: PodId {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            uid: uid.to_string(),
        },
        controller: Some(Controller {
            kind: "ReplicaSet".to_owned(),
            name: "web".to_owned(),
        }),
        ..PodView::default()
    }
}

impl World {
    fn with(names: &[&str]) -> Self {
        let world = Self::default();
        world.state(|state| {
            state.node.ready = true;
            state.node.pods = names.iter().zip(1..).map(|(name, uid)| pod(name, uid)).collect();
        });
        world
    }

    fn state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    fn evictions(&self) -> Vec<String> {
        self.state(|state| std::mem::take(&mut state.evictions))
    }
}

impl Nodes for World {
    fn occupancy(&self, _: String) -> BoxFuture<'_, Result<NodeOccupancy, NodeError>> {
        async { Ok(self.state(|state| state.node.clone())) }.boxed()
    }

    fn cordon(&self, _: String) -> BoxFuture<'_, Result<(), NodeError>> {
        async {
            self.state(|state| state.node.cordoned = true);
            Ok(())
        }
        .boxed()
    }

    fn uncordon(&self, _: String) -> BoxFuture<'_, Result<(), NodeError>> {
        async {
            self.state(|state| state.node.cordoned = false);
            Ok(())
        }
        .boxed()
    }

    fn evict(&self, pod: PodId) -> BoxFuture<'_, Result<Eviction, NodeError>> {
        async move {
            self.state(|state| {
                if state.fails {
                    let (what, source) = ("evict".to_owned(), "connection refused".into());
                    return Err(NodeError::Call { what, source });
                }
                assert!(state.node.cordoned, "evicted pods would come back");
                state.evictions.push(pod.name.clone());
                if pod.name.starts_with("held") {
                    return Ok(Eviction::Refused {
                        reason: "not now".to_owned(),
                        retry_after: None,
                    });
                }
                state.node.pods.retain(|other| other.id != pod);
                if state.floods {
                    let uid = state.evictions.len() + 100;
                    state.node.pods.push(self::pod(&pod.name, uid));
                }
                Ok(Eviction::Accepted)
            })
        }
        .boxed()
    }

    fn readiness(&self, _: SocketAddr) -> BoxFuture<'_, Result<Readiness, NodeError>> {
        async { Ok(Readiness::Ready) }.boxed()
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn drainer() -> Drainer {
    let policy = DrainPolicy {
        force: false,
        timeout: SignedDuration::from_secs(600),
    };
    Drainer::new("cp-1".to_owned(), policy, at(0))
}

#[tokio::test]
async fn a_node_is_cordoned_and_emptied_in_one_go() {
    let world = World::with(&["a", "b"]);
    assert_eq!(drainer().advance(&world, at(1)).await.unwrap(), Drain::Done);
    assert!(world.state(|state| state.node.cordoned));
    assert_eq!(world.evictions(), ["a", "b"]);
}

#[tokio::test]
async fn what_is_refused_is_tried_again_later_and_only_then() {
    let world = World::with(&["a", "held"]);
    let mut drainer = drainer();
    let waits = Drain::Wait {
        reason: "pod shop/held: not now".to_owned(),
        until: at(6),
    };
    assert_eq!(drainer.advance(&world, at(1)).await.unwrap(), waits);
    assert_eq!(world.evictions(), ["a", "held"]);
    assert_eq!(drainer.advance(&world, at(5)).await.unwrap(), waits);
    assert_eq!(world.evictions(), [""; 0]);
    let again = drainer.advance(&world, at(6)).await.unwrap();
    assert!(
        matches!(again, Drain::Wait { until, .. } if until == at(11)),
        "{again:?}"
    );
    assert_eq!(world.evictions(), ["held"]);
    let late = drainer.advance(&world, at(600)).await.unwrap();
    assert_eq!(
        late,
        Drain::Overdue {
            reason: "pod shop/held: not now".to_owned()
        }
    );
    // Another pod of that name has not been refused.
    world.state(|state| state.node.pods = vec![pod("held", 9)]);
    drainer.advance(&world, at(7)).await.unwrap();
    assert_eq!(world.evictions(), ["held"]);
}

#[tokio::test]
async fn a_blocked_drain_changes_nothing() {
    let world = World::with(&["a", "b"]);
    world.state(|state| state.node.pods[1].controller = None);
    let drain = drainer().advance(&world, at(1)).await.unwrap();
    assert!(matches!(drain, Drain::Blocked { .. }), "{drain:?}");
    assert!(!world.state(|state| state.node.cordoned) && world.evictions().is_empty());
}

#[tokio::test]
async fn pods_that_come_without_end_do_not_hold_the_caller() {
    let world = World::with(&["a"]);
    world.state(|state| state.floods = true);
    let drain = drainer().advance(&world, at(1)).await.unwrap();
    assert!(matches!(drain, Drain::Evict(_)), "{drain:?}");
}

#[tokio::test]
async fn an_error_ends_the_round_and_the_next_goes_on() {
    let world = World::with(&["a"]);
    let mut drainer = drainer();
    world.state(|state| state.fails = true);
    drainer.advance(&world, at(1)).await.unwrap_err();
    world.state(|state| state.fails = false);
    assert_eq!(drainer.advance(&world, at(2)).await.unwrap(), Drain::Done);
}
