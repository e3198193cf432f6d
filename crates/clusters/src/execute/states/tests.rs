//! Each kind of step: what it waits for, does, and when it is done or failed.

mod ahead;
mod founding;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use resources::cluster_api::{Machine, MachineAddress, MachineSpec};
use resources::gantry::{
    ControlPlane, ControlPlaneSpec, Founder, Image, ImageSpec, ImageState, ImageStatus, MachineRole,
    PlanClass, PlanStep, PlanStepKind, ProviderMachine, ProviderMachineSpec, ProviderMachineState,
    ProviderMachineStatus, Server,
};
use serde_json::json;

use super::{Decision, Effect, after_failure, decide, may_take_longer};
use crate::execute::new_cluster::{NodeView, SystemView};
use crate::execute::snapshot::{ApiSeen, BootstrapSeen, Leftover, Snapshot};
use crate::plan::{Desired, DesiredMachine, Founding};

const URL: &str = "file:///image";

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn machine(name: &str, role: MachineRole) -> DesiredMachine {
    DesiredMachine {
        name: name.to_owned(),
        group: "cp".to_owned(),
        number: 0,
        role,
        selector: Vec::new(),
        image_url: URL.to_owned(),
        os_family: "debian".to_owned(),
        template_ref: None,
        users: Vec::new(),
        labels: [("pool".to_owned(), "small".to_owned())].into(),
        taints: None,
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        desired: Some(Desired {
            name: "demo".to_owned(),
            namespace: "ns".to_owned(),
            endpoint: "192.0.2.10".to_owned(),
            load_balancer: true,
            vrrp_id: 11,
            version: "v1.35.4".to_owned(),
            pod_cidr: "10.244.0.0/16".to_owned(),
            service_cidr: "10.96.0.0/12".to_owned(),
            node_mask: 24,
            resolv_conf: None,
            cert_sans: Vec::new(),
            api_server_extra_args: BTreeMap::new(),
            cni: "flannel".to_owned(),
            machines: vec![
                machine("demo-cp-0", MachineRole::ControlPlane),
                machine("demo-md-0-0", MachineRole::Worker),
            ],
        }),
        pki: true,
        kubeconfig: false,
        parents: true,
        control_plane: Some(founded_by("demo-cp-0")),
        images: BTreeMap::new(),
        machines: BTreeMap::new(),
        provider_machines: BTreeMap::new(),
        bootstrap: BTreeMap::new(),
        servers: BTreeMap::new(),
        api: ApiSeen::NotYet,
        leftovers: Vec::new(),
    }
}

/// A ControlPlane with the installation of this machine as its founder.
fn founded_by(machine: &str) -> ControlPlane {
    let spec = ControlPlaneSpec {
        initialized_by: Some(Founder {
            machine: machine.to_owned(),
            requested_at: Time(now()),
        }),
        ..ControlPlaneSpec::default()
    };
    ControlPlane::new("demo", spec)
}

fn image(state: ImageState, version: Option<&str>) -> Image {
    let digest = format!("sha256:{}", "00".repeat(32));
    let mut image = Image::new(
        "image-1",
        ImageSpec {
            url: URL.to_owned(),
            digest: None,
        },
    );
    image.status = Some(ImageStatus {
        state,
        reason: Some("no route".to_owned()),
        percent: Some(30),
        manifest: (state == ImageState::Ready).then(|| {
            serde_json::from_value(json!({
                "name": "image", "compression": "raw", "rawSize": 1, "rawDigest": digest, "size": 1, "digest": digest,
                "kubernetesVersion": version, "chunks": [],
            }))
            .unwrap()
        }),
        ..ImageStatus::default()
    });
    image
}

fn provider(name: &str, state: ProviderMachineState, asked: bool) -> ProviderMachine {
    let mut provider = ProviderMachine::new(name, ProviderMachineSpec::default());
    provider.status = Some(ProviderMachineStatus {
        state,
        reason: Some("action stream-image".to_owned()),
        percent: Some(40),
        host: Some("a".to_owned()),
        provider_id: Some("tinkerbell://ns/a".to_owned()),
        addresses: vec![MachineAddress {
            kind: "Hostname".to_owned(),
            address: "node-a".to_owned(),
        }],
        bootstrap_requested_at: asked.then(|| Time(now())),
        ..ProviderMachineStatus::default()
    });
    provider
}

fn node(ready: bool, labelled: bool) -> ApiSeen {
    let labels = if labelled {
        [("pool".to_owned(), "small".to_owned())].into()
    } else {
        BTreeMap::new()
    };
    ApiSeen::Answers {
        nodes: vec![NodeView {
            name: "node-a".to_owned(),
            ready,
            reason: Some("cni plugin not initialized".to_owned()),
            provider_id: Some("tinkerbell://ns/a".to_owned()),
            labels,
            created: Some("2026-01-02T03:06:00Z".parse().unwrap()),
        }],
        system: SystemView::default(),
    }
}

fn step(kind: PlanStepKind, machine: Option<&str>) -> PlanStep {
    PlanStep {
        id: "x".to_owned(),
        kind,
        machine: machine.map(str::to_owned),
        text: String::new(),
        deadline_minutes: 1,
    }
}

fn decided(kind: PlanStepKind, machine: Option<&str>, snapshot: &Snapshot) -> Decision {
    decide(PlanClass::Create, &step(kind, machine), snapshot, now())
}

fn init(snapshot: &Snapshot) -> Decision {
    decided(PlanStepKind::InitControlPlane, Some("demo-cp-0"), snapshot)
}

fn waits(decision: &Decision, why: &str) {
    assert!(
        matches!(decision, Decision::Wait { reason, .. } if reason.contains(why)),
        "{decision:?}, wanted {why}"
    );
}

fn fails(decision: &Decision, why: &str) {
    assert!(
        matches!(decision, Decision::Failed(reason) if reason.contains(why)),
        "{decision:?}, wanted {why}"
    );
}

/// A machine whose installed system has asked.
fn asked(name: &str) -> Snapshot {
    let mut seen = snapshot();
    seen.machines
        .insert(name.to_owned(), Machine::new(name, MachineSpec::default()));
    seen.provider_machines.insert(
        name.to_owned(),
        provider(name, ProviderMachineState::Running, true),
    );
    seen
}

/// A machine that its driver is busy with.
fn with_worker(mut seen: Snapshot) -> Snapshot {
    let name = "demo-md-0-0";
    let worker = provider(name, ProviderMachineState::Installing, false);
    seen.provider_machines.insert(name.to_owned(), worker);
    seen.machines
        .insert(name.to_owned(), Machine::new(name, MachineSpec::default()));
    seen
}

fn minted(expires: &str, filled: bool) -> BootstrapSeen {
    BootstrapSeen {
        token_id: Some("abcdef".to_owned()),
        expires: Some(expires.parse().unwrap()),
        requested_at: Some(now()),
        filled,
    }
}

#[test]
fn keys_come_before_anything() {
    let pki = |seen: &Snapshot| decided(PlanStepKind::MakePki, None, seen);
    let mut seen = snapshot();
    (seen.pki, seen.parents) = (false, false);
    assert_eq!(pki(&seen), Decision::Do(Effect::MakePki));
    seen.pki = true;
    assert_eq!(pki(&seen), Decision::Do(Effect::MakeParents));
    seen.parents = true;
    assert_eq!(pki(&seen), Decision::Do(Effect::MakeImage(URL.to_owned())));
    seen.images
        .insert(URL.to_owned(), image(ImageState::Pending, None));
    assert_eq!(pki(&seen), Decision::Done);
}

#[test]
fn a_machine_is_made_when_its_image_is_there_and_right() {
    let mut seen = snapshot();
    assert_eq!(init(&seen), Decision::Do(Effect::MakeImage(URL.to_owned())));
    seen.images
        .insert(URL.to_owned(), image(ImageState::Fetching, None));
    assert!(matches!(
        init(&seen),
        Decision::Wait {
            percent: Some(30),
            ..
        }
    ));
    seen.images
        .insert(URL.to_owned(), image(ImageState::Failed, None));
    fails(&init(&seen), "image file:///image: no route");
    seen.images
        .insert(URL.to_owned(), image(ImageState::Ready, Some("v1.34.4")));
    fails(
        &init(&seen),
        "holds Kubernetes v1.34.4, the Release wants v1.35.4",
    );
    seen.images
        .insert(URL.to_owned(), image(ImageState::Ready, Some("v1.35.4")));
    assert_eq!(
        init(&seen),
        Decision::Do(Effect::MakeMachine("demo-cp-0".to_owned()))
    );
    seen.images.insert(URL.to_owned(), image(ImageState::Ready, None));
    assert_eq!(
        init(&seen),
        Decision::Do(Effect::MakeMachine("demo-cp-0".to_owned()))
    );
}

#[test]
fn the_driver_is_followed() {
    let mut seen = with_worker(snapshot());
    let install = provider("demo-cp-0", ProviderMachineState::Installing, false);
    seen.provider_machines.insert("demo-cp-0".to_owned(), install);
    assert_eq!(
        init(&seen),
        Decision::Do(Effect::MakeMachine("demo-cp-0".to_owned())),
        "a crash came between the two"
    );
    seen.machines.insert(
        "demo-cp-0".to_owned(),
        Machine::new("demo-cp-0", MachineSpec::default()),
    );
    waits(&init(&seen), "demo-cp-0: action stream-image");
    let failed = provider("demo-cp-0", ProviderMachineState::Failed, false);
    seen.provider_machines.insert("demo-cp-0".to_owned(), failed);
    fails(&init(&seen), "demo-cp-0: action stream-image");
    let mut leaving = provider("demo-cp-0", ProviderMachineState::Releasing, false);
    leaving.metadata.deletion_timestamp = Some(Time(now()));
    seen.provider_machines.insert("demo-cp-0".to_owned(), leaving);
    waits(&init(&seen), "the earlier demo-cp-0");
}

#[test]
fn data_is_minted_when_asked_for_and_again_when_it_is_stale() {
    let mut seen = with_worker(asked("demo-cp-0"));
    let mint = Decision::Do(Effect::Mint {
        machine: "demo-cp-0".to_owned(),
        init: true,
    });
    assert_eq!(init(&seen), mint);
    seen.bootstrap
        .insert("demo-cp-0".to_owned(), minted("2026-01-02T03:10:00Z", true));
    seen.api = ApiSeen::Silent("connection refused".to_owned());
    waits(
        &init(&seen),
        "kubeadm init runs; 192.0.2.10:6443 does not answer yet (connection refused)",
    );
    seen.bootstrap
        .insert("demo-cp-0".to_owned(), minted("2026-01-02T03:00:00Z", true));
    assert_eq!(init(&seen), mint);
    seen.bootstrap
        .insert("demo-cp-0".to_owned(), minted("2026-01-02T03:10:00Z", false));
    assert_eq!(init(&seen), mint, "somebody dropped the value too early");
    let mut done = Server::new(
        "a",
        serde_json::from_value(json!({ "machineId": "m", "hardware": "a" })).unwrap(),
    );
    let digest = format!("sha256:{}", "00".repeat(32));
    done.status = serde_json::from_value(json!({ "firstBoot": {
        "attempt": 1, "publicKey": digest, "serial": "1", "notAfter": "2026-01-02T05:00:00Z",
        "revokedAt": "2026-01-02T03:04:00Z",
    } }))
    .unwrap();
    seen.servers.insert("a".to_owned(), done);
    waits(&init(&seen), "does not answer yet");
}

#[test]
fn the_first_member_is_done_with_its_node() {
    let mut seen = with_worker(asked("demo-cp-0"));
    seen.bootstrap
        .insert("demo-cp-0".to_owned(), minted("2026-01-02T03:10:00Z", true));
    seen.api = ApiSeen::Answers {
        nodes: Vec::new(),
        system: SystemView::default(),
    };
    waits(&init(&seen), "its node is not there yet");
    seen.api = node(false, false);
    assert_eq!(
        init(&seen),
        Decision::Do(Effect::LabelNode("demo-cp-0".to_owned()))
    );
    seen.api = node(false, true);
    assert_eq!(
        init(&seen),
        Decision::Do(Effect::LabelNode("demo-cp-0".to_owned())),
        "its Machine lacks the providerID"
    );
    seen.machines.get_mut("demo-cp-0").unwrap().spec.provider_id = Some("tinkerbell://ns/a".to_owned());
    assert_eq!(init(&seen), Decision::Done);
}

#[test]
fn a_node_of_another_machine_is_refused() {
    let mut seen = asked("demo-cp-0");
    seen.api = node(true, true);
    let status = seen
        .provider_machines
        .get_mut("demo-cp-0")
        .unwrap()
        .status
        .as_mut()
        .unwrap();
    status.provider_id = Some("tinkerbell://ns/b".to_owned());
    fails(&init(&seen), "an old node of that name");
}

#[test]
fn a_joining_node_must_be_ready() {
    let join = |seen: &Snapshot| decided(PlanStepKind::JoinWorker, Some("demo-md-0-0"), seen);
    let mut seen = asked("demo-md-0-0");
    seen.api = ApiSeen::Silent("no route".to_owned());
    waits(
        &join(&seen),
        "asks to join; the cluster's API does not answer (no route)",
    );
    seen.api = ApiSeen::Answers {
        nodes: Vec::new(),
        system: SystemView::default(),
    };
    assert_eq!(
        join(&seen),
        Decision::Do(Effect::Mint {
            machine: "demo-md-0-0".to_owned(),
            init: false
        })
    );
    seen.machines.get_mut("demo-md-0-0").unwrap().spec.provider_id = Some("tinkerbell://ns/a".to_owned());
    seen.api = node(false, true);
    waits(
        &join(&seen),
        "node node-a is not Ready yet: cni plugin not initialized",
    );
    seen.api = node(true, true);
    assert_eq!(join(&seen), Decision::Done);
    fails(
        &decided(PlanStepKind::JoinWorker, Some("demo-md-0-9"), &seen),
        "is not wanted any more",
    );
}

#[test]
fn the_cni_is_applied_once() {
    let cni = |seen: &Snapshot| decided(PlanStepKind::InstallCni, None, seen);
    let mut seen = with_worker(snapshot());
    waits(&cni(&seen), "waits for the cluster's API");
    seen.api = node(false, true);
    assert_eq!(cni(&seen), Decision::Do(Effect::ApplyCni));
    if let ApiSeen::Answers { system, .. } = &mut seen.api {
        system.cni_applied = true;
    }
    waits(&cni(&seen), "node node-a is not Ready yet");
    seen.api = node(true, true);
    if let ApiSeen::Answers { system, .. } = &mut seen.api {
        system.cni_applied = true;
    }
    assert_eq!(cni(&seen), Decision::Done);
    seen.desired.as_mut().unwrap().cni = "none".to_owned();
    seen.api = node(false, true);
    assert_eq!(cni(&seen), Decision::Done);
}

#[test]
fn the_end_needs_dns_and_every_node() {
    let finish = |seen: &Snapshot| decided(PlanStepKind::Finish, None, seen);
    let mut seen = snapshot();
    assert_eq!(finish(&seen), Decision::Do(Effect::WriteKubeconfig));
    seen.kubeconfig = true;
    waits(&finish(&seen), "waits for the cluster's API");
    seen.api = node(false, true);
    waits(&finish(&seen), "demo-cp-0: its node is not in the cluster");
    for name in ["demo-cp-0", "demo-md-0-0"] {
        let running = provider(name, ProviderMachineState::Running, true);
        seen.provider_machines.insert(name.to_owned(), running);
    }
    waits(&finish(&seen), "demo-cp-0: node node-a is not Ready");
    // A node that belongs to no wanted machine holds nothing up.
    seen.api = node(true, true);
    if let ApiSeen::Answers { nodes, .. } = &mut seen.api {
        nodes.insert(
            0,
            NodeView {
                name: "stranger".to_owned(),
                ..nodes[0].clone()
            },
        );
        nodes[0].ready = false;
    }
    assert_eq!(finish(&seen), Decision::Done);
    if let ApiSeen::Answers { system, .. } = &mut seen.api {
        system.missing = Some("CoreDNS has no available replica yet".to_owned());
    }
    waits(&finish(&seen), "CoreDNS");
    seen.api = node(true, true);
    assert_eq!(finish(&seen), Decision::Done);
}

#[test]
fn removal_waits_for_the_driver() {
    let remove = |seen: &Snapshot| decided(PlanStepKind::RemoveMachine, Some("demo-cp-0"), seen);
    let mut seen = asked("demo-cp-0");
    seen.desired = None;
    let act = Decision::Do(Effect::RemoveMachine("demo-cp-0".to_owned()));
    assert_eq!(remove(&seen), act);
    let machine = seen.provider_machines.get_mut("demo-cp-0").unwrap();
    machine.metadata.deletion_timestamp = Some(Time(now()));
    waits(&remove(&seen), "waits for its driver");
    seen.provider_machines
        .get_mut("demo-cp-0")
        .unwrap()
        .status
        .as_mut()
        .unwrap()
        .state = ProviderMachineState::Releasing;
    waits(&remove(&seen), "demo-cp-0: action stream-image");
    seen.provider_machines.clear();
    assert_eq!(remove(&seen), act);
    seen.machines.clear();
    seen.bootstrap
        .insert("demo-cp-0".to_owned(), minted("2026-01-02T03:10:00Z", true));
    assert_eq!(
        remove(&seen),
        Decision::Do(Effect::DropBootstrap("demo-cp-0".to_owned()))
    );
    seen.bootstrap.clear();
    assert_eq!(remove(&seen), Decision::Done);
}

#[test]
fn a_machine_that_cannot_be_given_back_holds_up_no_other_of_a_deleted_cluster() {
    let removal = step(PlanStepKind::RemoveMachine, Some("demo-cp-0"));
    let mut seen = asked("demo-cp-0");
    seen.desired = None;
    seen.provider_machines.insert(
        "demo-md-0-0".to_owned(),
        provider("demo-md-0-0", ProviderMachineState::Running, true),
    );
    assert!(!may_take_longer(&removal, &seen));
    let stuck = seen.provider_machines.get_mut("demo-cp-0").unwrap();
    stuck.metadata.deletion_timestamp = Some(Time(now()));
    stuck.status.as_mut().unwrap().state = ProviderMachineState::Releasing;
    assert!(may_take_longer(&removal, &seen));
    let decided = |class, seen: &Snapshot| decide(class, &removal, seen, now());
    let next = Decision::Do(Effect::RemoveMachine("demo-md-0-0".to_owned()));
    assert_eq!(decided(PlanClass::Delete, &seen), next);
    waits(&decided(PlanClass::Scale, &seen), "demo-cp-0");
    let other = seen.provider_machines.get_mut("demo-md-0-0").unwrap();
    other.metadata.deletion_timestamp = Some(Time(now()));
    waits(&decided(PlanClass::Delete, &seen), "demo-cp-0");
}

#[test]
fn a_stopped_plan_gives_back_what_is_not_installed_yet_and_nothing_else() {
    let mut seen = asked("demo-cp-0");
    let mut add = |name: &str, state| {
        let provider = provider(name, state, false);
        seen.provider_machines.insert(name.to_owned(), provider);
        let machine = seen.machines["demo-cp-0"].clone();
        seen.machines.insert(name.to_owned(), machine);
    };
    add("demo-cp-0", ProviderMachineState::Running);
    add("demo-md-0-0", ProviderMachineState::Failed);
    add("demo-md-0-1", ProviderMachineState::Installing);
    add("demo-md-0-2", ProviderMachineState::Booting);
    let remove = |name: &str| Some(Effect::RemoveMachine(name.to_owned()));
    assert_eq!(after_failure(PlanClass::Delete, &seen), None);
    assert_eq!(after_failure(PlanClass::Create, &seen), remove("demo-md-0-1"));
    let leaving = seen.provider_machines.get_mut("demo-md-0-1").unwrap();
    leaving.metadata.deletion_timestamp = Some(Time(now()));
    assert_eq!(after_failure(PlanClass::Scale, &seen), None);
    seen.provider_machines.remove("demo-md-0-1");
    assert_eq!(after_failure(PlanClass::Scale, &seen), remove("demo-md-0-1"));
    seen.machines.remove("demo-md-0-1");
    assert_eq!(after_failure(PlanClass::Scale, &seen), None);
}

#[test]
fn nothing_is_left_of_a_cluster() {
    let cluster = |seen: &Snapshot| decided(PlanStepKind::RemoveCluster, None, seen);
    let mut seen = asked("demo-cp-0");
    seen.leftovers = vec![(Leftover::Secret, "demo-ca".to_owned())];
    assert_eq!(
        cluster(&seen),
        Decision::Do(Effect::RemoveMachine("demo-cp-0".to_owned()))
    );
    seen.provider_machines.clear();
    seen.machines.clear();
    assert_eq!(
        cluster(&seen),
        Decision::Do(Effect::Remove(Leftover::Secret, "demo-ca".to_owned()))
    );
    seen.leftovers.clear();
    assert_eq!(cluster(&seen), Decision::Done);
}
