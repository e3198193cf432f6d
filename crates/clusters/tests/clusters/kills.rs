//! The coordinator is killed before every one of its writes, and another one, which knows nothing but the objects and the
//! cluster, goes on. Writes are those to the API of the appliance, to the cluster and to its etcd.
//!
//! Operations that lead from one to the other are carried out in turn in one world: with no write before the kill, with one,
//! with two, until the coordinator comes to the end with the writes that it has. Whoever goes on is killed too, a few writes
//! later. What one of them leaves behind is found at its end, or by the next. Two worlds share the numbers of writes and are
//! gone through side by side, so that one works while the other waits for its database. Longer ones are carried out by
//! coordinators of which each makes so few writes and is killed.

mod adoption;
mod mortal;
mod operation;

use clusters::GateJobState;
use clusters_sim::{Failing, Leaves, NewCluster, node_of};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::SignedDuration;
use kube::api::DeleteParams;
use resources::anywhere::Cluster;

use self::operation::Operation;
use crate::certificates::ask;
use crate::ended_certificates::end;
use crate::gates::name_gates;
use crate::group_versions::{IMAGE, catch_up, leave_behind, next};
use crate::only_member::alone;
use crate::upgrade::{NEXT_IMAGE, OTHER_IMAGE, use_image};
use crate::virtual_machines::{apply_docker_cluster, apply_docker_site};
use crate::world::World;

/// How many writes the second coordinator makes, by those of the first: so that pairs of kills differ.
const SECOND: usize = 7;
/// Worlds that share the kills of a test.
const WORLDS: usize = 2;
/// More coordinators than any operation takes.
const LIVES: usize = 120;

const CREATE: Operation = Operation::new("create", |world| create(world, 1).boxed(), (1, 1));
const DELETE: Operation = Operation::new("delete", |world| delete(world).boxed(), (0, 0));
const ADD_WORKER: Operation = Operation::new("add a worker", |world| world.scale_workers(2).boxed(), (1, 2));
const REMOVE_WORKER: Operation =
    Operation::new("remove a worker", |world| world.scale_workers(1).boxed(), (1, 1));
const ADD_MEMBERS: Operation = Operation::new(
    "control plane 1 to 3",
    |world| world.scale_control_plane(3).boxed(),
    (3, 1),
);
const REMOVE_MEMBERS: Operation = Operation::new(
    "control plane 3 to 1",
    |world| world.scale_control_plane(1).boxed(),
    (1, 1),
)
.approved();
const REPLACE_WORKER: Operation =
    Operation::new("replace a worker", |world| replace_worker(world).boxed(), (1, 1));
const REPLACE_MEMBER: Operation =
    Operation::new("replace a member", |world| replace_member(world).boxed(), (1, 1));

const RENEW: Operation = Operation::new("renew certificates", |world| ask(world).boxed(), (1, 1));
const REPAIR: Operation = Operation::new(
    "renew certificates that have ended",
    |world| end(world).boxed(),
    (1, 1),
)
.approved();
const REPAIR_THREE: Operation = Operation::new(
    "renew certificates of three members that have ended",
    |world| end(world).boxed(),
    (3, 1),
)
.approved();
const RENEW_THREE: Operation = Operation::new(
    "renew the certificates of three members",
    |world| ask(world).boxed(),
    (3, 1),
);

/// Their machines are made with their data.
const CREATE_VIRTUAL: Operation = Operation::new(
    "create virtual machines",
    |world| apply_docker_cluster(world).boxed(),
    (1, 1),
);

const CREATE_THREE: Operation =
    Operation::new("create three members", |world| create(world, 3).boxed(), (3, 1));
const FIRST_BOOTS: Operation = Operation::new(
    "create three members with first boots that fail",
    |world| create_badly(world).boxed(),
    (3, 1),
)
.with_failures();
const REMEDIATE: Operation = Operation::new(
    "remediate a dead member",
    |world| lose_a_member(world).boxed(),
    (3, 1),
)
.with_failures();

const UPGRADE: Operation = Operation::new(
    "exchange all machines",
    |world| use_image(world, OTHER_IMAGE).boxed(),
    (1, 1),
)
.with_images(&[("cp", OTHER_IMAGE), ("md-0", OTHER_IMAGE)]);

/// A worker group stays behind, and follows.
const LEAVE_BEHIND: Operation = Operation::new(
    "leave a group behind",
    |world| leave_behind(world).boxed(),
    (1, 1),
)
.with_images(&[("cp", NEXT_IMAGE), ("md-0", IMAGE)]);
const CATCH_UP: Operation = Operation::new("let the group follow", |world| catch_up(world).boxed(), (1, 1))
    .with_images(&[("cp", NEXT_IMAGE), ("md-0", NEXT_IMAGE)]);

const UPGRADE_WITH_GATES: Operation = UPGRADE.with_gates();

/// One line for each test: its name, how its world begins, and the operations that follow each other in it, the first again
/// after the last.
macro_rules! killed_before_every_write {
    ($($test:ident: $begin:expr, [$($operation:expr),+];)+) => {
        $(#[test]
        fn $test() {
            every_write(|| $begin.boxed(), &[$($operation),+]);
        })+
    };
}

killed_before_every_write! {
    create_and_delete: documents(), [CREATE, DELETE];
    create_and_delete_virtual_machines: docker(), [CREATE_VIRTUAL, DELETE];
    scale_workers: made(), [ADD_WORKER, REMOVE_WORKER];
    scale_control_plane: made(), [ADD_MEMBERS, REMOVE_MEMBERS];
    replace_a_worker: made(), [REPLACE_WORKER];
    replace_a_member: made(), [REPLACE_MEMBER];
    renew_certificates: made(), [RENEW];
    repair_certificates: made(), [REPAIR];
}

/// Until every operation comes to its end with the writes that the coordinator has.
fn every_write(begin: fn() -> BoxFuture<'static, World>, operations: &'static [Operation]) {
    let worlds = side_by_side(0..WORLDS, |first| async move {
        some_writes(&begin().await, operations, first).await
    });
    for (at, operation) in operations.iter().enumerate() {
        let counts = || worlds.iter().map(|counts| &counts[at]);
        let writes = counts().map(|count| count.writes).min().unwrap();
        let kills: usize = counts().map(|count| count.kills).sum();
        let pairs: usize = counts().map(|count| count.pairs).sum();
        let name = operation.name();
        eprintln!("{name}: killed before each of {writes} writes, {kills} kills, {pairs} pairs of two kills");
        assert!(writes >= 15, "{name} is done with {writes} writes");
        assert!(kills >= writes, "{name}: {kills} kills for {writes} writes");
    }
}

/// With so many writes before the kill, and every [`WORLDS`]th number of them after that.
async fn some_writes(world: &World, operations: &[Operation], first: usize) -> Vec<Count> {
    let mut counts: Vec<Count> = operations.iter().map(|_| Count::default()).collect();
    for writes in (first..).step_by(WORLDS) {
        for (operation, count) in operations.iter().zip(&mut counts) {
            let lives = match count.is_over {
                true => [usize::MAX; 2],
                false => [writes, writes % SECOND],
            };
            let killed = operation.carry_out(world, lives).await;
            match killed {
                0 if !count.is_over => (count.is_over, count.writes) = (true, writes),
                0 => {}
                _ => (count.kills, count.pairs) = (count.kills + killed, count.pairs + killed - 1),
            }
        }
        if counts.iter().all(|count| count.is_over) {
            break;
        }
        assert!(writes < 400, "no end after {writes} writes");
    }
    counts
}

#[derive(Default)]
struct Count {
    is_over: bool,
    writes: usize,
    kills: usize,
    pairs: usize,
}

/// Does something for each of these numbers, each on a thread and a runtime of its own.
fn side_by_side<T, F>(numbers: impl IntoIterator<Item = usize>, act: impl Fn(usize) -> F + Sync) -> Vec<T>
where
    T: Send,
    F: Future<Output = T>,
{
    let act = &act;
    let run = move |number| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(act(number))
    };
    std::thread::scope(|scope| {
        let numbers = numbers.into_iter();
        let threads: Vec<_> = numbers.map(|number| scope.spawn(move || run(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Carried out by coordinators of which each makes so many writes and is killed. With fewer than three none would get past
/// the writes that it begins with: a number is taken before the plan of that number is stored.
macro_rules! carried_out_by_short_lives {
    ($($test:ident: $begin:expr, [$($operation:expr),+];)+) => {
        $(#[test]
        fn $test() {
            side_by_side(3..=6, |writes| async move {
                let world = $begin.await;
                for operation in [$($operation),+] {
                    let killed = operation.carry_out(&world, [writes; LIVES]).await;
                    let name = operation.name();
                    eprintln!("{name}: {killed} coordinators of {writes} writes each were killed");
                    assert!(killed < LIVES, "{name} is not carried out by coordinators of {writes} writes");
                }
            });
        })+
    };
}

carried_out_by_short_lives! {
    create_three: documents(), [CREATE_THREE];
    first_boots_that_fail: documents(), [FIRST_BOOTS];
    remediate: three(), [REMEDIATE];
    renew_three: three(), [RENEW_THREE];
    repair_three: three(), [REPAIR_THREE];
    upgrade: made(), [UPGRADE];
    upgrade_alone: alone(), [UPGRADE];
    a_group_stays_behind: with_next_release(), [LEAVE_BEHIND, CATCH_UP];
    upgrade_with_gates: with_gates(made()), [UPGRADE_WITH_GATES];
    upgrade_alone_with_gates: with_gates(alone()), [UPGRADE_WITH_GATES];
}

/// A cluster for whose version there is a next one.
async fn with_next_release() -> World {
    let world = made().await;
    next(&world).await;
    world
}

/// A cluster with upgrade gates that succeed.
async fn with_gates(world: impl Future<Output = World>) -> World {
    let world = world.await;
    name_gates(&world).await;
    world
        .inside
        .with(|inside| inside.gates.end = Some(GateJobState::Succeeded));
    world
}

async fn documents() -> World {
    let world = World::new().await;
    world.apply_configs().await;
    world
}

/// Where the containers of a cluster are made.
async fn docker() -> World {
    let world = World::new().await;
    apply_docker_site(&world).await;
    world
}

async fn made() -> World {
    let world = documents().await;
    world.apply_cluster().await;
    world.drive_to_ready().await;
    world
}

/// Three members, and a server for a fourth.
async fn three() -> World {
    let world = documents().await;
    create(&world, 3).await;
    world.add_hardware("f", "cp").await;
    world.drive_to_ready().await;
    world
}

async fn create(world: &World, control_planes: i32) {
    let mut cluster = NewCluster::default().documents().cluster;
    cluster.spec.control_plane_configuration.count = control_planes;
    world.create(&cluster).await;
}

async fn create_badly(world: &World) {
    world.add_hardware("f", "cp").await;
    let fails = |times, leaves| Failing { times, leaves };
    world.driver().failing.extend([
        ("a".to_owned(), fails(1, Leaves::Nothing)),
        ("b".to_owned(), fails(9, Leaves::Nothing)),
        ("d".to_owned(), fails(1, Leaves::Learner)),
        ("e".to_owned(), fails(1, Leaves::Nothing)),
    ]);
    create(world, 3).await;
}

async fn lose_a_member(world: &World) {
    let dead = world.control_planes().await.remove(1);
    let node = node_of(&world.host(&dead));
    world
        .inside
        .with(|inside| inside.power_off(&node, SignedDuration::from_mins(6)));
}

async fn delete(world: &World) {
    let clusters = world.api::<Cluster>();
    clusters.delete("demo", &DeleteParams::default()).await.unwrap();
}

async fn replace_worker(world: &World) {
    let worker = world.workers().await.remove(0);
    world.delete_machine(&worker).await;
}

async fn replace_member(world: &World) {
    let member = world.control_planes().await.remove(0);
    world.delete_machine(&member).await;
}
