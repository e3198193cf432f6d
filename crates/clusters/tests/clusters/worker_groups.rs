//! Worker groups as Cluster API's clients know them: MachineDeployments, MachineSets, and who may scale them.

use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, PropagationPolicy};
use resources::anywhere::Cluster;
use resources::cluster_api::{
    Cluster as CapiCluster, Machine, MachineDeployment, MachineDeploymentPhase, MachineSet,
};
use resources::gantry::PlanClass;
use resources::keys;
use serde_json::{Value, json};

use crate::life::{made, settles};
use crate::upgrade::{OTHER_IMAGE, upgrades, use_image};
use crate::world::World;

const BOUNDS: &str = "/spec/workerNodeGroupConfigurations/0/autoscalingConfiguration";

async fn deployment(world: &World) -> MachineDeployment {
    world.api().get("demo-md-0").await.unwrap()
}

async fn sets(world: &World) -> Vec<MachineSet> {
    world.api().list(&Default::default()).await.unwrap().items
}

/// Lets an autoscaler choose between so many workers.
pub(crate) async fn autoscale(world: &World, least: i32, most: i32) {
    let bounds = json!({ "minCount": least, "maxCount": most });
    change_group(world, json!([{ "op": "add", "path": BOUNDS, "value": bounds }])).await;
}

async fn change_group(world: &World, change: Value) {
    let change: json_patch::Patch = serde_json::from_value(change).unwrap();
    let api: Api<Cluster> = world.api();
    let patch = Patch::<()>::Json(change);
    api.patch("demo", &PatchParams::default(), &patch).await.unwrap();
}

/// Asks for so many machines of the group as an autoscaler does.
pub(crate) async fn scale(world: &World, replicas: i32) {
    let api: Api<MachineDeployment> = world.api();
    let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
    api.patch_scale("demo-md-0", &PatchParams::default(), &patch)
        .await
        .unwrap();
}

fn holds(object: &MachineDeployment, kind: &str) -> bool {
    let conditions = object
        .status
        .iter()
        .flat_map(|status| &status.machines.conditions);
    let mut found = conditions.filter(|known| known.type_ == kind);
    found.any(|known| known.status == "True")
}

#[tokio::test]
async fn a_worker_group_has_its_deployment_and_set_above_its_machines() {
    let world = made(1).await;
    let capi: CapiCluster = world.api().get("demo").await.unwrap();
    assert_eq!(
        world.names::<MachineDeployment>().await,
        ["demo-md-0"],
        "none of the control plane"
    );
    let deployment = deployment(&world).await;
    assert_eq!(deployment.labels()[keys::CLUSTER_NAME], "demo");
    assert_eq!(deployment.labels()[keys::POOL], "md-0");
    assert_eq!(deployment.owner_references()[0].uid, capi.uid().unwrap());
    assert_eq!(deployment.spec.replicas, Some(1));
    assert_eq!(
        deployment.annotations().get(keys::AUTOSCALER_MIN),
        None,
        "nobody scales it"
    );
    let status = deployment.status.clone().unwrap();
    let counts = [
        status.machines.replicas,
        status.machines.ready_replicas,
        status.machines.available_replicas,
        status.machines.up_to_date_replicas,
    ];
    assert_eq!(counts, [Some(1); 4], "{status:?}");
    assert_eq!(status.phase, Some(MachineDeploymentPhase::Running));
    assert_eq!(
        status.machines.selector.as_deref(),
        Some("cluster.x-k8s.io/cluster-name=demo,cluster.x-k8s.io/deployment-name=demo-md-0")
    );
    assert!(holds(&deployment, "Available") && holds(&deployment, "MachinesUpToDate"));
    assert!(!holds(&deployment, "ScalingUp"), "{status:?}");

    let sets = sets(&world).await;
    let [set] = sets.as_slice() else {
        panic!("{sets:?}")
    };
    assert_eq!(set.owner_references()[0].uid, deployment.uid().unwrap());
    assert_eq!(set.status.as_ref().unwrap().ready_replicas, Some(1));
    let worker: Machine = world.api().get(&world.workers().await[0]).await.unwrap();
    let owner = &worker.owner_references()[0];
    assert_eq!((&owner.uid, owner.controller), (&set.uid().unwrap(), Some(true)));
    assert_eq!(worker.labels()[keys::SET_NAME], set.name_any());
    assert_eq!(worker.labels()[keys::DEPLOYMENT_NAME], "demo-md-0");
    let member: Machine = world.api().get(&world.control_planes().await[0]).await.unwrap();
    assert!(!member.labels().contains_key(keys::DEPLOYMENT_NAME));
}

#[tokio::test]
async fn an_autoscaler_scales_within_its_bounds_and_picks_who_goes() {
    let world = made(1).await;
    let first = world.workers().await.remove(0);
    autoscale(&world, 1, 2).await;
    world.rounds("demo", 3).await;
    let bounds = |object: &MachineDeployment| {
        [keys::AUTOSCALER_MIN, keys::AUTOSCALER_MAX].map(|key| object.annotations()[key].clone())
    };
    let scalable = deployment(&world).await;
    assert_eq!(bounds(&scalable), ["1", "2"]);
    for (key, value) in [
        (keys::CAPACITY_CPU, "8"),
        (keys::CAPACITY_MEMORY, "34359738368"),
        (keys::CAPACITY_LABELS, "pool=small"),
    ] {
        assert_eq!(
            scalable.annotations()[key],
            value,
            "for who begins with no machine"
        );
    }
    scale(&world, 2).await;
    settles(&world, 1, 2).await;
    assert_eq!(world.plan().await.spec.class, PlanClass::Scale);
    world.drive_to_ready().await;

    let mark = Patch::Merge(json!({ "metadata": { "annotations": { keys::DELETE_MACHINE: "now" } } }));
    let machines: Api<Machine> = world.api();
    machines
        .patch(&first, &PatchParams::default(), &mark)
        .await
        .unwrap();
    scale(&world, 1).await;
    settles(&world, 1, 1).await;
    assert!(
        !world.workers().await.contains(&first),
        "the older one, because it was asked for"
    );
    world.drive_to_ready().await;

    // What is out of bounds is put back into them.
    scale(&world, 9).await;
    settles(&world, 1, 2).await;
    assert_eq!(deployment(&world).await.spec.replicas, Some(2));
    // A group without bounds has the count of its Cluster again.
    world.scale_workers(1).await;
    change_group(&world, json!([{ "op": "remove", "path": BOUNDS }])).await;
    settles(&world, 1, 1).await;
    let after = deployment(&world).await;
    assert_eq!(after.spec.replicas, Some(1));
    assert_eq!(after.annotations().get(keys::AUTOSCALER_MAX), None);
}

#[tokio::test]
async fn a_count_that_the_cluster_fixes_is_put_back() {
    let world = made(1).await;
    scale(&world, 2).await;
    world.rounds("demo", 5).await;
    assert_eq!(deployment(&world).await.spec.replicas, Some(1));
    assert_eq!(world.workers().await.len(), 1);
    // And so is everything else that others write, at once and for good.
    let change = json!({
        "metadata": { "annotations": { keys::AUTOSCALER_MIN: "0", "theirs": "stays" }, "labels": { keys::POOL: "x" } },
        "spec": { "selector": { "matchLabels": { "more": "x" } } },
    });
    let api: Api<MachineDeployment> = world.api();
    api.patch("demo-md-0", &PatchParams::default(), &Patch::Merge(change))
        .await
        .unwrap();
    world.rounds("demo", 2).await;
    let after = deployment(&world).await;
    assert_eq!(after.annotations().get(keys::AUTOSCALER_MIN), None);
    assert_eq!(after.annotations()["theirs"], "stays");
    assert_eq!(after.labels()[keys::POOL], "md-0");
    assert_eq!(after.spec.selector.match_labels.as_ref().unwrap().len(), 2);
    world.rounds("demo", 3).await;
    let version = deployment(&world).await.resource_version();
    assert_eq!(version, after.resource_version(), "and nothing is written again");
}

#[tokio::test]
async fn what_stands_above_machines_is_made_anew_and_no_machine_goes() {
    let world = made(1).await;
    autoscale(&world, 1, 2).await;
    world.rounds("demo", 3).await;
    scale(&world, 2).await;
    settles(&world, 1, 2).await;
    world.drive_to_ready().await;
    let workers = world.workers().await;
    // Admission keeps people from it, as deleting them takes their machines along; here they are left behind.
    let orphans = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    let before = deployment(&world).await;
    for set in sets(&world).await {
        let api: Api<MachineSet> = world.api();
        api.delete(&set.name_any(), &orphans).await.unwrap();
    }
    let api: Api<MachineDeployment> = world.api();
    api.delete("demo-md-0", &orphans).await.unwrap();
    let anew = async |world: &World| {
        let found = world
            .api::<MachineDeployment>()
            .get_opt("demo-md-0")
            .await
            .unwrap();
        found.is_some_and(|found| found.uid() != before.uid())
    };
    world.drive("made anew", anew).await;
    world.drive_to_ready().await;
    world.rounds("demo", 5).await;
    assert_eq!(world.workers().await, workers);
    let after = deployment(&world).await;
    assert_eq!(after.spec.replicas, Some(2), "as many as there are");
    let sets = sets(&world).await;
    for name in workers {
        let machine: Machine = world.api().get(&name).await.unwrap();
        assert_eq!(machine.owner_references()[0].uid, sets[0].uid().unwrap());
    }
}

#[tokio::test]
async fn each_revision_has_its_set() {
    let world = made(1).await;
    world.add_hardware("f", "cp").await;
    let before = sets(&world).await;
    use_image(&world, OTHER_IMAGE).await;
    let two = async |world: &World| sets(world).await.len() == 2;
    world.drive("two sets", two).await;
    let both = sets(&world).await;
    let replicas: Vec<Option<i32>> = both.iter().map(|set| set.spec.replicas).collect();
    assert!(
        replicas.contains(&Some(0)) && replicas.contains(&Some(1)),
        "{both:?}"
    );
    upgrades(&world, OTHER_IMAGE).await;
    world.rounds("demo", 3).await;
    let after = sets(&world).await;
    assert_eq!(after.len(), 1, "{after:?}");
    assert_ne!(after[0].name_any(), before[0].name_any());
    assert!(holds(&deployment(&world).await, "MachinesUpToDate"));
}

#[tokio::test]
async fn a_name_that_another_cluster_has_is_not_taken_from_it() {
    let world = World::new().await;
    let other = json!({ "metadata": { "name": "demo-md-0" }, "spec": {
        "clusterName": "demo-md", "selector": {}, "template": { "spec": { "clusterName": "demo-md" } } } });
    let other: MachineDeployment = serde_json::from_value(other).unwrap();
    let api: Api<MachineDeployment> = world.api();
    api.create(&PostParams::default(), &other).await.unwrap();
    world.apply_documents().await;
    world.drive_to_ready().await;
    assert_eq!(
        world.names::<MachineDeployment>().await,
        ["demo--md-0", "demo-md-0"]
    );
    assert_eq!(deployment(&world).await.spec.cluster_name, "demo-md");
}
