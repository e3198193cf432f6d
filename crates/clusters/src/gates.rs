//! Upgrade gates: Jobs of a user that have to succeed in the cluster after a machine has joined for a rollout, and before another
//! one goes.
//!
//! The Cluster names their templates by an annotation: CronJobs of the cluster's own API, which may be suspended. A Job is made
//! of one as `kubectl create job --from=cronjob/NAME` makes it. Its name follows from the machine, the template and the last wish
//! of a person to run it once more, so whoever looks for it finds it, and it is run once.

use std::collections::BTreeMap;
use std::fmt;

use kube::ResourceExt as _;
use resources::anywhere::Cluster;
use resources::{Digest, keys};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Longest time that a Job may take, seconds.
const LONGEST: i64 = 4 * 60 * 60;
/// How long a Job may take whose template does not say, seconds.
const ORDINARY: i64 = 30 * 60;
/// How long the cluster keeps a Job that has ended, seconds.
const KEPT: i64 = 7 * 24 * 60 * 60;
/// Fields of a Job that Gantry decides about: when it begins, which pods are its own.
const OWN: [&str; 4] = ["suspend", "selector", "manualSelector", "managedBy"];

/// The name of an object of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamespacedName {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl NamespacedName {
    /// Reads `NAMESPACE/NAME`.
    fn parse(text: &str) -> Option<Self> {
        let is_name = |text: &str| {
            let is_part = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
            !text.is_empty() && text.len() <= 253 && text.bytes().all(is_part)
        };
        let (namespace, name) = text.split_once('/')?;
        (is_name(namespace) && is_name(name)).then(|| Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// The gates that a Cluster names; none where it names none. The error says what is wrong with the annotation.
pub(crate) fn named_gates(cluster: &Cluster) -> Result<Vec<NamespacedName>, String> {
    let text = cluster.annotations().get(keys::UPGRADE_GATES);
    let parts = text.into_iter().flat_map(|text| text.split(','));
    let parts = parts.map(str::trim).filter(|part| !part.is_empty());
    let mut names = Vec::new();
    for part in parts {
        let Some(name) = NamespacedName::parse(part) else {
            return Err(format!(
                "annotation {} names {part:?}; write CronJobs of the cluster as NAMESPACE/NAME, separated by commas",
                keys::UPGRADE_GATES
            ));
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// The template of a gate, as the cluster has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GateTemplate {
    /// Id of the CronJob.
    pub uid: String,
    /// Labels of its Jobs.
    pub labels: BTreeMap<String, String>,
    /// Annotations of its Jobs.
    pub annotations: BTreeMap<String, String>,
    /// Their `spec`, a JobSpec of `batch/v1`.
    pub spec: Value,
}

impl GateTemplate {
    /// Seconds within which a Job has to be done.
    fn limit(&self) -> i64 {
        self.spec["activeDeadlineSeconds"].as_i64().unwrap_or(ORDINARY)
    }

    /// What is wrong with it.
    pub(crate) fn fault(&self) -> Option<String> {
        let limit = self.limit();
        (limit > LONGEST).then(|| {
            format!(
                "spec.jobTemplate.spec.activeDeadlineSeconds is {limit}; write {LONGEST} or less, in which the Job has to be done"
            )
        })
    }
}

/// What a Job is run for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GateRun<'a> {
    pub(crate) cluster: &'a str,
    pub(crate) machine: &'a str,
    pub(crate) machine_uid: &'a str,
    /// Name of its node.
    pub(crate) node: &'a str,
    /// The last wish of a person to run it once more.
    pub(crate) retry: Option<&'a str>,
}

impl GateRun<'_> {
    /// Name of the Job of a gate. Another machine, gate or wish has another one.
    pub(crate) fn job_name(self, gate: &NamespacedName) -> NamespacedName {
        let of = json!([self.machine_uid, gate.to_string(), self.retry]);
        let hex = Digest::new(Sha256::digest(of.to_string()).into()).hex();
        NamespacedName {
            namespace: gate.namespace.clone(),
            name: format!("gantry-gate-{}", hex.get(..12).unwrap_or_default()),
        }
    }

    /// The Job. Its containers find in their environment what it is run for.
    pub(crate) fn job(self, gate: &NamespacedName, template: &GateTemplate) -> Value {
        let NamespacedName { namespace, name } = self.job_name(gate);
        let (mut labels, mut annotations) = (template.labels.clone(), template.annotations.clone());
        labels.insert(keys::UPGRADE_GATE.to_owned(), gate.name.clone());
        annotations.insert(keys::GATE_MACHINE.to_owned(), self.machine.to_owned());
        annotations.insert(
            "cronjob.kubernetes.io/instantiate".to_owned(),
            "manual".to_owned(),
        );
        let mut spec = template.spec.as_object().cloned().unwrap_or_default();
        for field in OWN {
            spec.remove(field);
        }
        spec.insert("activeDeadlineSeconds".to_owned(), json!(template.limit()));
        spec.insert("ttlSecondsAfterFinished".to_owned(), json!(KEPT));
        if let Some(pod) = spec
            .get_mut("template")
            .and_then(|template| template.get_mut("spec"))
        {
            for kind in ["initContainers", "containers"] {
                let containers = pod.get_mut(kind).and_then(Value::as_array_mut);
                for container in containers.into_iter().flatten() {
                    self.say(container);
                }
            }
        }
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": labels,
                "annotations": annotations,
                "ownerReferences": [
                    { "apiVersion": "batch/v1", "kind": "CronJob", "name": gate.name, "uid": template.uid },
                ],
            },
            "spec": spec,
        })
    }

    fn say(self, container: &mut Value) {
        let said = [
            ("GANTRY_CLUSTER", self.cluster),
            ("GANTRY_MACHINE", self.machine),
            ("GANTRY_NODE", self.node),
        ];
        let mut all = container["env"].as_array().cloned().unwrap_or_default();
        all.retain(|known| said.iter().all(|(name, _)| known["name"] != *name));
        all.extend(said.map(|(name, value)| json!({ "name": name, "value": value })));
        container["env"] = json!(all);
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::Job;

    use super::*;

    const RUN: GateRun<'_> = GateRun {
        cluster: "prod",
        machine: "prod-md-0-abcde",
        machine_uid: "7c9e6679-7425-40de-944b-e07fc1f90ae7",
        node: "rack-1",
        retry: None,
    };

    fn gate() -> NamespacedName {
        NamespacedName::parse("shop/check").unwrap()
    }

    fn template(limit: Option<i64>) -> GateTemplate {
        GateTemplate {
            uid: "5f1c".to_owned(),
            labels: BTreeMap::from([("app".to_owned(), "check".to_owned())]),
            annotations: BTreeMap::new(),
            spec: json!({
                "suspend": true,
                "ttlSecondsAfterFinished": 0,
                "activeDeadlineSeconds": limit,
                "template": { "spec": {
                    "restartPolicy": "Never",
                    "containers": [{
                        "name": "check",
                        "image": "shop/check:1",
                        "env": [{ "name": "A", "value": "b" }, { "name": "GANTRY_NODE", "value": "mine" }],
                    }],
                } },
            }),
        }
    }

    #[test]
    fn gates_are_named_by_an_annotation() {
        let named = |text: &str| {
            let mut cluster = Cluster::new("prod", Default::default());
            let annotation = (keys::UPGRADE_GATES.to_owned(), text.to_owned());
            cluster.metadata.annotations = Some(BTreeMap::from([annotation]));
            let names = named_gates(&cluster)?;
            Ok::<_, String>(names.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(
            named_gates(&Cluster::new("prod", Default::default())),
            Ok(Vec::new())
        );
        assert_eq!(named(" , "), Ok(Vec::new()));
        let two = vec!["shop/check".to_owned(), "db/ping.v2".to_owned()];
        assert_eq!(named("shop/check, db/ping.v2,shop/check"), Ok(two));
        for bad in [
            "check",
            "shop/",
            "/check",
            "shop/a/b",
            "shop/Check",
            "shop/check;db/ping",
        ] {
            let why = named(bad).unwrap_err();
            assert!(why.contains("NAMESPACE/NAME"), "{why}");
        }
    }

    #[test]
    fn a_job_is_made_of_its_template_for_a_machine() {
        let job = RUN.job(&gate(), &template(None));
        let meta = &job["metadata"];
        assert_eq!(meta["namespace"], "shop");
        assert_eq!(meta["name"], RUN.job_name(&gate()).name);
        assert_eq!(
            meta["labels"],
            json!({ "app": "check", keys::UPGRADE_GATE: "check" })
        );
        assert_eq!(meta["annotations"][keys::GATE_MACHINE], RUN.machine);
        assert_eq!(meta["ownerReferences"][0]["uid"], "5f1c");
        assert_eq!(job["spec"]["activeDeadlineSeconds"], ORDINARY);
        assert_eq!(job["spec"]["ttlSecondsAfterFinished"], KEPT);
        assert_eq!(job["spec"]["suspend"], Value::Null);
        let env = &job["spec"]["template"]["spec"]["containers"][0]["env"];
        let names: Vec<_> = env.as_array().unwrap().iter().map(|one| &one["name"]).collect();
        assert_eq!(names, ["A", "GANTRY_CLUSTER", "GANTRY_MACHINE", "GANTRY_NODE"]);
        assert_eq!(env[3]["value"], "rack-1");
        serde_json::from_value::<Job>(job).unwrap();
        let job = RUN.job(&gate(), &template(Some(60)));
        assert_eq!(job["spec"]["activeDeadlineSeconds"], 60);
    }

    #[test]
    fn another_machine_gate_or_wish_is_another_job() {
        let (machine_uid, retry) = ("another", Some("2026-11-01T12:00:00Z"));
        let names = [
            RUN.job_name(&gate()),
            RUN.job_name(&NamespacedName::parse("shop/check2").unwrap()),
            GateRun { machine_uid, ..RUN }.job_name(&gate()),
            GateRun { retry, ..RUN }.job_name(&gate()),
        ];
        let distinct: std::collections::BTreeSet<&NamespacedName> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{names:?}");
        let machine = "the same under another name";
        assert_eq!(GateRun { machine, ..RUN }.job_name(&gate()), names[0]);
    }

    #[test]
    fn a_gate_has_four_hours_at_most() {
        assert_eq!(template(None).fault(), None);
        assert_eq!(template(Some(LONGEST)).fault(), None);
        let why = template(Some(LONGEST + 1)).fault().unwrap();
        assert!(why.contains("write 14400 or less"), "{why}");
    }
}
