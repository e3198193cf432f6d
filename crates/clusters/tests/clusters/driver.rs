//! The driver of bare metal, played: it claims a server, installs it in steps, gives it back when its power is off; and the
//! systems that it installs, which ask for their data and become nodes.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use clusters::NodeView;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use resources::gantry::{MachineRole, ProviderMachine, ProviderMachinePhase};
use resources::keys;
use serde_json::{Value, json};

use crate::world::{NAMESPACE, World};

/// What the driver knows and what a test does to it.
#[derive(Debug, Default)]
pub(crate) struct Driver {
    /// Servers by name, with their kind.
    pub(crate) servers: BTreeMap<String, String>,
    /// Machine that has a server.
    pub(crate) claims: BTreeMap<String, String>,
    /// Servers on which every installation fails, with the reason.
    pub(crate) broken: BTreeMap<String, String>,
    /// Why no image can be had.
    pub(crate) bad_image: Option<String>,
    /// Servers that can't be powered off.
    pub(crate) stuck: BTreeSet<String>,
    /// Machines that never become nodes.
    pub(crate) never_joins: BTreeSet<String>,
    /// All servers that were ever claimed, in order.
    pub(crate) history: Vec<String>,
}

impl Driver {
    /// Claims a free server of this kind for a machine: one that works before one that does not.
    fn claim(&mut self, machine: &str, kind: &str) -> Option<String> {
        if let Some((host, _)) = self.claims.iter().find(|(_, known)| known.as_str() == machine) {
            return Some(host.clone());
        }
        let free = |host: &&String| !self.claims.contains_key(*host);
        let fits: Vec<&String> = self
            .servers
            .iter()
            .filter(|(_, known)| known.as_str() == kind)
            .map(|(host, _)| host)
            .filter(free)
            .collect();
        let host = (*fits
            .iter()
            .find(|host| !self.history.contains(host))
            .or_else(|| fits.first())?)
        .clone();
        self.claims.insert(host.clone(), machine.to_owned());
        self.history.push(host.clone());
        Some(host)
    }
}

fn number(host: &str) -> u8 {
    host.as_bytes()[0] - b'a' + 11
}

/// Name of the node on a server.
pub(crate) fn node_of(host: &str) -> String {
    format!("node-{host}")
}

impl World {
    pub(crate) async fn react_machine(&self, machine: &ProviderMachine) {
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
        let kind = match machine.spec.role {
            MachineRole::ControlPlane => "cp",
            MachineRole::Worker => "worker",
        };
        let Some(host) = self.driver.lock().unwrap().claim(&name, kind) else {
            let reason = format!("no free server has the labels type={kind}");
            return self
                .provider_status(&name, json!({ "phase": "pending", "reason": reason }))
                .await;
        };
        let status = machine.status.clone().unwrap_or_default();
        let broken = self.driver.lock().unwrap().broken.get(&host).cloned();
        match status.phase {
            ProviderMachinePhase::Failed => {}
            ProviderMachinePhase::Pending => {
                let reason = "the workflow runs";
                let status =
                    json!({ "phase": "creating", "driverState": "imaging", "reason": reason, "host": host });
                self.provider_status(&name, status).await;
            }
            _ if broken.is_some() => {
                let status = json!({ "phase": "failed", "reason": broken, "host": host });
                self.provider_status(&name, status).await;
            }
            _ => self.run(&name, &host, &status).await,
        }
    }

    async fn give_back(&self, machine: &ProviderMachine) {
        let name = machine.name_any();
        let claims = self.driver.lock().unwrap().claims.clone();
        let host = claims
            .iter()
            .find(|(_, known)| **known == name)
            .map(|(host, _)| host.clone());
        if let Some(host) = &host {
            let stuck = self.driver.lock().unwrap().stuck.contains(host);
            if stuck {
                let reason = format!("cannot power {host} off");
                return self
                    .provider_status(
                        &name,
                        json!({ "phase": "deleting", "driverState": "unplugging", "reason": reason }),
                    )
                    .await;
            }
            self.inside
                .with(|inside| inside.power_off(&node_of(host), jiff::SignedDuration::ZERO));
            self.driver.lock().unwrap().claims.remove(host);
        }
        self.set_finalizers(&name, &[]).await;
    }

    async fn set_finalizers(&self, name: &str, finalizers: &[&str]) {
        let patch = Patch::Merge(json!({ "metadata": { "finalizers": finalizers } }));
        let api = self.api::<ProviderMachine>();
        // It may have gone in the meantime.
        let _ = api.patch(name, &PatchParams::default(), &patch).await;
    }

    async fn provider_status(&self, name: &str, status: Value) {
        self.status::<ProviderMachine>(name, status).await;
    }

    async fn run(&self, name: &str, host: &str, status: &resources::gantry::ProviderMachineStatus) {
        let asked = status.bootstrap_requested_at.clone();
        let asked = asked.unwrap_or_else(|| Time(Timestamp::now()));
        let number = number(host);
        let running = json!({
            "phase": "running", "reason": "the installed system has shown itself", "host": host,
            "providerID": format!("tinkerbell://{NAMESPACE}/{host}"), "mac": format!("52:54:00:00:00:{number}"),
            "addresses": [
                { "type": "Hostname", "address": node_of(host) },
                { "type": "InternalIP", "address": format!("192.0.2.{number}") },
            ],
            "bootstrapRequestedAt": asked,
        });
        let mut done = running.clone();
        done["bootstrapDoneAt"] = json!(status.bootstrap_done_at);
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
        if status.bootstrap_done_at.is_none()
            && let Some(secret) = given
            && self.first_boot(name, host, &secret)
        {
            done["bootstrapDoneAt"] = json!(Time(Timestamp::now()));
        }
        self.provider_status(name, done).await;
    }

    /// The node gets its data once and becomes a member. Tells whether it did.
    fn first_boot(&self, name: &str, host: &str, secret: &KubeSecret) -> bool {
        if self.driver.lock().unwrap().never_joins.contains(name) {
            return false;
        }
        let Some(value) = secret.data.as_ref().and_then(|data| data.get("value")) else {
            return false;
        };
        let node = node_of(host);
        let document: Value = serde_json::from_slice(&value.0).unwrap();
        let what = document["command"][2].as_str().unwrap().to_owned();
        let kubeadm = document["files"][1]["contentBase64"].as_str().unwrap();
        let kubeadm = base64::engine::general_purpose::STANDARD.decode(kubeadm).unwrap();
        let kubeadm = String::from_utf8(kubeadm).unwrap();
        self.inside.with(|inside| {
            if what != "init" {
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
            if what != "join" {
                inside.add_member(&node, &format!("192.0.2.{}", number(host)));
            }
            let view = NodeView {
                name: node.clone(),
                ready: true,
                provider_id: Some(format!("tinkerbell://{NAMESPACE}/{host}")),
                created: Some(Timestamp::now()),
                ..NodeView::default()
            };
            inside.nodes.insert(node, view);
        });
        true
    }
}
