//! One machine in the hands of its driver, which claims a server, installs it in steps and gives it back when its power is off;
//! and the system that it installs, which asks for its data and becomes a node.

use std::collections::BTreeMap;

use base64::Engine as _;
use clusters::NodeView;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use resources::Digest;
use resources::anywhere::Taint;
use resources::gantry::{
    AdoptedNode, MachineRole, ProviderMachine, ProviderMachinePhase, ProviderMachineStatus,
};
use resources::keys;
use serde_json::{Value, json};

use crate::driver::{mac_of, node_of};
use crate::failing::Leaves;
use crate::site::Site;

impl Site {
    /// The driver and the installed system take one step with a machine.
    pub async fn react_machine(&self, machine: &ProviderMachine) {
        let name = machine.name_any();
        let held = machine
            .finalizers()
            .iter()
            .any(|known| known == keys::PROVIDER_MACHINE_FINALIZER);
        if machine.metadata.deletion_timestamp.is_some() {
            return self.give_back(machine).await;
        }
        if !held {
            return self
                .set_finalizers(&name, &[keys::PROVIDER_MACHINE_FINALIZER])
                .await;
        }
        if let Some(node) = &machine.spec.adopts {
            return self.adopt(machine, node).await;
        }
        if machine.spec.plugin.is_some() {
            return self.react_virtual(machine).await;
        }
        let mut terms = machine.spec.selector().iter();
        let kind = terms.find_map(|term| term.match_labels.get("type")).unwrap();
        let claimed = self.driver().claim(&name, kind);
        let Some(host) = claimed else {
            let reason = format!("no free server has the labels type={kind}");
            return self
                .write_status(machine, json!({ "phase": "pending", "reason": reason }))
                .await;
        };
        let status = machine.status.clone().unwrap_or_default();
        let broken = self.driver().broken.get(&host).cloned();
        match status.phase {
            ProviderMachinePhase::Failed => {}
            ProviderMachinePhase::Pending => {
                let reason = "the workflow runs";
                let installation = machine.spec.installation;
                let status = json!({
                    "phase": "creating", "driverState": "imaging", "reason": reason, "host": host,
                    "installation": installation,
                });
                self.write_status(machine, status).await;
            }
            _ if broken.is_some() => {
                let status = json!({ "phase": "failed", "reason": broken, "host": host });
                self.write_status(machine, status).await;
            }
            ProviderMachinePhase::Running if machine.is_wanted_anew() => {
                self.install_anew(machine, &host, &status).await;
            }
            _ => self.run(machine, &host, &status).await,
        }
    }

    /// The driver takes the server on which a node runs, or says why it does not.
    async fn adopt(&self, machine: &ProviderMachine, node: &AdoptedNode) {
        let (_, host) = node.provider_id.rsplit_once('/').unwrap();
        let stranger = self.driver().strangers.get(host).cloned();
        let adopted = stranger.is_none() && self.driver().adopt(&machine.name_any(), host);
        if !adopted {
            let reason = stranger.unwrap_or_else(|| format!("{host} is claimed by another machine"));
            return self
                .write_status(machine, json!({ "phase": "failed", "reason": reason }))
                .await;
        }
        let address = self.driver().address(host);
        assert_eq!(
            (node.address.clone(), node.node.clone()),
            (address.to_string(), node_of(host))
        );
        let known = machine.status.clone().unwrap_or_default();
        let at = known.bootstrap_done_at.unwrap_or_else(|| Time(Timestamp::now()));
        let status = json!({
            "phase": "running", "reason": "runs", "host": host, "installation": machine.spec.installation,
            "providerID": node.provider_id, "mac": mac_of(address),
            "addresses": [
                { "type": "Hostname", "address": node.node }, { "type": "InternalIP", "address": address },
            ],
            "bootstrapRequestedAt": at, "bootstrapDoneAt": at,
        });
        self.write_status(machine, status).await;
    }

    async fn give_back(&self, machine: &ProviderMachine) {
        let name = machine.name_any();
        let host = self.driver().host(&name).cloned();
        if let Some(host) = &host {
            let stuck = self.driver().stuck.contains(host);
            if stuck {
                let reason = format!("cannot power {host} off");
                return self
                    .write_status(
                        machine,
                        json!({ "phase": "deleting", "driverState": "unplugging", "reason": reason }),
                    )
                    .await;
            }
            self.clusters()
                .get(&machine.spec.cluster_name)
                .with(|inside| inside.power_off(&node_of(host), SignedDuration::ZERO));
            self.driver().give_back(&name);
        }
        self.set_finalizers(&name, &[]).await;
    }

    async fn set_finalizers(&self, name: &str, finalizers: &[&str]) {
        let patch = Patch::Merge(json!({ "metadata": { "finalizers": finalizers } }));
        let api = self.api::<ProviderMachine>();
        // It may have gone in the meantime.
        let _ = api.patch(name, &PatchParams::default(), &patch).await;
    }

    /// The system that runs on the server goes, with its data.
    async fn install_anew(&self, machine: &ProviderMachine, host: &str, status: &ProviderMachineStatus) {
        let installation = machine.spec.installation;
        assert!(
            status.bootstrap_failure.is_some(),
            "it has not failed: {status:?}"
        );
        let node = node_of(host);
        let address = self.driver().address(host).to_string();
        let cluster = self.clusters().get(&machine.spec.cluster_name);
        cluster.with(|inside| {
            let mut members = inside.etcd.values();
            assert!(
                !members.any(|member| member.address == address),
                "a member of etcd loses its data"
            );
            assert!(!inside.nodes.contains_key(&node), "a node is taken away");
            inside.log.push(format!("install {node} anew"));
        });
        let reason = format!("installation {installation} begins");
        let status = json!({
            "phase": "creating", "driverState": "imaging", "reason": reason, "host": host, "installation": installation,
        });
        self.write_status(machine, status).await;
    }

    async fn run(&self, machine: &ProviderMachine, host: &str, status: &ProviderMachineStatus) {
        let name = machine.name_any();
        let asked = status.bootstrap_requested_at.clone();
        let asked = asked.unwrap_or_else(|| Time(Timestamp::now()));
        let address = self.driver().address(host);
        self.clusters()
            .put_machine(address.into(), &machine.spec.cluster_name);
        let cluster = self.clusters().get(&machine.spec.cluster_name);
        cluster.with(|inside| {
            inside.somebody_writes();
            if machine.spec.role == MachineRole::ControlPlane {
                inside.renew_on(&node_of(host), &address.to_string());
            }
        });
        let running = json!({
            "phase": "running", "reason": "the installed system has shown itself", "host": host,
            "providerID": self.provider_id(host), "mac": mac_of(address),
            "addresses": [
                { "type": "Hostname", "address": node_of(host) },
                { "type": "InternalIP", "address": address },
            ],
            "bootstrapRequestedAt": asked,
            "installation": status.installation,
        });
        let mut done = running;
        done["bootstrapDoneAt"] = json!(status.bootstrap_done_at);
        done["certificateRepair"] = json!(self.repaired(machine, host, status));
        let secret = self
            .api::<KubeSecret>()
            .get_opt(&format!("{name}-bootstrap"))
            .await
            .unwrap();
        let given = secret.filter(|secret| {
            secret
                .annotations()
                .get("gantry.dev/requested-at")
                .map(String::as_str)
                == Some(asked.0.to_string().as_str())
        });
        done["bootstrapFailure"] = json!(status.bootstrap_failure);
        if status.bootstrap_done_at.is_none()
            && status.bootstrap_failure.is_none()
            && let Some(secret) = given
        {
            let failure = self.driver().next_failure(host);
            if failure.is_none() && self.waits_for_load_balancer(&secret) {
                done["bootstrapStage"] = json!({ "name": "load-balancer", "since": Time(Timestamp::now()) });
            } else if let Some(leaves) = failure {
                self.fail(machine, host, &secret, leaves);
                done["bootstrapFailure"] = json!({
                    "stage": "kubeadm-join", "exitStatus": 1, "at": Time(Timestamp::now()),
                    "lines": ["[preflight] Running pre-flight checks", "couldn't validate the identity of the API Server"],
                });
            } else if self.first_boot(machine, host, &secret) {
                done["bootstrapDoneAt"] = json!(Time(Timestamp::now()));
            }
        }
        self.write_status(machine, done).await;
    }

    fn provider_id(&self, host: &str) -> String {
        format!("tinkerbell://{}/{host}", self.namespace)
    }

    fn fail(&self, machine: &ProviderMachine, host: &str, secret: &KubeSecret, leaves: Leaves) {
        match leaves {
            Leaves::Nothing => {}
            Leaves::Learner => {
                let address = self.driver().address(host).to_string();
                let cluster = self.clusters().get(&machine.spec.cluster_name);
                cluster.with(|inside| inside.add_learner(&address));
            }
            Leaves::Node => {
                self.first_boot(machine, host, secret);
            }
            Leaves::NodeAndLearner => {
                self.first_boot(machine, host, secret);
                let node = node_of(host);
                let cluster = self.clusters().get(&machine.spec.cluster_name);
                cluster.with(|inside| {
                    let mut members = inside.etcd.values_mut();
                    let member = members.find(|member| member.name == node).unwrap();
                    (member.learner, member.alive) = (true, false);
                });
            }
        }
    }

    /// Whether `kubeadm init` gets no further: nothing on the machine holds the control-plane address, and it leads nowhere.
    fn waits_for_load_balancer(&self, secret: &KubeSecret) -> bool {
        let Some(document) = document(secret).filter(|_| self.driver().leads_nowhere) else {
            return false;
        };
        let holds = |file: &Value| {
            let path = file["path"].as_str().unwrap();
            path.contains("keepalived") || path.contains("kube-vip")
        };
        let founds = ["init", "restore"].contains(&document["command"][2].as_str().unwrap());
        founds && !document["files"].as_array().unwrap().iter().any(holds)
    }

    /// The node gets its data once and becomes a member. Tells whether it did.
    fn first_boot(&self, machine: &ProviderMachine, host: &str, secret: &KubeSecret) -> bool {
        if self.driver().never_joins.contains(&machine.name_any()) {
            return false;
        }
        let Some(document) = document(secret) else {
            return false;
        };
        let snapshot = document["downloads"][0]["sha256"].as_str();
        self.boot(
            machine,
            host,
            &Boot {
                what: document["command"][2].as_str().unwrap().to_owned(),
                kubeadm: text(&document["files"][1]["contentBase64"]),
                snapshot: snapshot.map(|sha256| sha256.parse().unwrap()),
                provider_id: Some(self.provider_id(host)),
            },
        );
        true
    }

    /// A system becomes a node with its data.
    pub(crate) fn boot(&self, machine: &ProviderMachine, host: &str, boot: &Boot) {
        let node = node_of(host);
        let Boot { what, kubeadm, .. } = boot;
        let address = self.driver().address(host).to_string();
        let cluster = self.clusters().get(&machine.spec.cluster_name);
        cluster.with(|inside| {
            if what.starts_with("join") {
                let known = |name: &String| {
                    let id = name.trim_start_matches("bootstrap-token-");
                    kubeadm.contains(&format!("token: {id}."))
                };
                assert!(
                    inside.tokens.iter().any(known),
                    "{:?} in {kubeadm}",
                    inside.tokens
                );
            }
            inside.log.push(format!("{what} {node}"));
            match what.as_str() {
                "init" | "join-control-plane" => inside.add_member(&node, &address),
                "restore" => inside.restore(boot.snapshot.unwrap(), &node, &address),
                _ => {}
            }
            // What kubeadm gives it where nobody says otherwise.
            let member = matches!(what.as_str(), "init" | "join-control-plane" | "restore");
            let marks = member && !kubeadm.contains("taints:");
            let taint = marks.then(|| Taint {
                key: "node-role.kubernetes.io/control-plane".to_owned(),
                effect: "NoSchedule".to_owned(),
                ..Taint::default()
            });
            let labels = node_labels(kubeadm);
            let view = NodeView {
                name: node.clone(),
                labels: labels.clone(),
                taints: taint.into_iter().collect(),
                ready: true,
                provider_id: boot.provider_id.clone(),
                address: Some(address.clone()),
                system_uuid: Some(format!(
                    "22988ada-3f61-4c68-932c-{:012x}",
                    self.driver().address(host).to_bits()
                )),
                kubelet_version: Some(
                    labels
                        .get(keys::KUBERNETES_VERSION)
                        .map_or("v1.35.4", String::as_str)
                        .to_owned(),
                ),
                created: Some(Timestamp::now()),
                ..NodeView::default()
            };
            if let Some(version) = labels.get(keys::KUBERNETES_VERSION) {
                inside.runs(&node, version);
            }
            inside.nodes.insert(node, view);
            inside.move_proxies();
        });
    }
}

/// What a system is given to become a node.
pub(crate) struct Boot {
    /// What kubeadm does: `init`, `restore`, `join` or `join-control-plane`.
    pub(crate) what: String,
    /// Its configuration.
    pub(crate) kubeadm: String,
    /// The snapshot that etcd begins with.
    pub(crate) snapshot: Option<Digest>,
    /// What the kubelet is told of the identity of its machine.
    pub(crate) provider_id: Option<String>,
}

/// A text in base64.
pub(crate) fn text(value: &Value) -> String {
    let value = value.as_str().unwrap();
    let value = base64::engine::general_purpose::STANDARD.decode(value).unwrap();
    String::from_utf8(value).unwrap()
}

/// The bootstrap document of a machine.
fn document(secret: &KubeSecret) -> Option<Value> {
    let value = secret.data.as_ref()?.get("value")?;
    Some(serde_json::from_slice(&value.0).unwrap())
}

/// The labels that the kubelet registers its node with.
fn node_labels(kubeadm: &str) -> BTreeMap<String, String> {
    let after = kubeadm.split_once("name: node-labels").map(|(_, after)| after);
    let value = after.and_then(|after| after.split_once("value: ")?.1.lines().next());
    let labels = value.unwrap_or_default().trim().trim_matches('"').split(',');
    labels
        .filter_map(|label| label.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}
