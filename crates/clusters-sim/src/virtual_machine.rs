//! One machine in the hands of a plugin driver, which makes it with its user data when these are there; and its system, which
//! becomes a node with them.

use k8s_openapi::api::core::v1::Secret as KubeSecret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use resources::gantry::{BootstrapMode, ProviderMachine, ProviderMachinePhase};
use serde_json::{Value, json};

use crate::driver::node_of;
use crate::machine::{Boot, text};
use crate::site::Site;

impl Site {
    /// The driver and the machine take one step.
    pub(crate) async fn react_virtual(&self, machine: &ProviderMachine) {
        let name = machine.name_any();
        let status = machine.status.clone().unwrap_or_default();
        assert_eq!(machine.spec.bootstrap.mode, BootstrapMode::Push);
        if status.phase == ProviderMachinePhase::Failed {
            return;
        }
        let known = self.driver().host(&name).cloned();
        let asked = status.bootstrap_requested_at.clone();
        let asked = asked.unwrap_or_else(|| Time(jiff::Timestamp::now()));
        let Some(host) = known else {
            let Some(userdata) = self.userdata(&name).await else {
                let reason = "waits for the user data of the machine";
                let status = json!({ "phase": "pending", "reason": reason, "bootstrapRequestedAt": asked });
                return self.write_status(machine, status).await;
            };
            let host = self.driver().make_virtual(&name, userdata);
            let status = json!({
                "phase": "creating", "reason": "is being cloned", "host": host, "installation": 1,
                "bootstrapRequestedAt": asked,
            });
            return self.write_status(machine, status).await;
        };
        let broken = self.driver().broken.get(&host).cloned();
        if let Some(reason) = broken {
            let status =
                json!({ "phase": "failed", "reason": reason, "host": host, "bootstrapRequestedAt": asked });
            return self.write_status(machine, status).await;
        }
        let address = self.driver().address(&host);
        self.clusters()
            .put_machine(address.into(), &machine.spec.cluster_name);
        let never = self.driver().never_joins.contains(&name);
        let userdata = self.driver().userdata.remove(&name).filter(|_| !never);
        if let Some(userdata) = userdata {
            self.boot(machine, &host, &boot_of(&userdata));
        }
        let status = json!({
            "phase": "running", "reason": "the driver says that it runs", "host": host, "installation": 1,
            "providerID": format!("vm://{name}"), "bootstrapRequestedAt": asked,
            "addresses": [
                { "type": "Hostname", "address": node_of(&host) },
                { "type": "InternalIP", "address": address },
            ],
        });
        self.write_status(machine, status).await;
    }

    async fn userdata(&self, machine: &str) -> Option<String> {
        let secrets = self.api::<KubeSecret>();
        let secret = secrets.get_opt(&format!("{machine}-bootstrap")).await.unwrap()?;
        let owners = secret.owner_references();
        assert!(
            owners.iter().any(|owner| owner.name == machine),
            "the data of {machine} go with it: {owners:?}"
        );
        let value = secret.data?.remove("value")?;
        Some(String::from_utf8(value.0).unwrap())
    }
}

/// What cloud-init would do.
fn boot_of(userdata: &str) -> Boot {
    assert!(userdata.starts_with("#cloud-config\n"));
    let data: Value = serde_saphyr::from_str(userdata).unwrap();
    let files = data["write_files"].as_array().unwrap();
    let file = |end: &str| {
        let is_it = |file: &&Value| file["path"].as_str().unwrap().ends_with(end);
        files
            .iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("no {end} in {userdata}"))
    };
    let starter = file("/per-boot/50-gantry-bootstrap")["content"].as_str().unwrap();
    let (_, arguments) = starter.split_once("bootstrap.sh' '").unwrap();
    Boot {
        what: arguments.split('\'').next().unwrap().to_owned(),
        kubeadm: text(&file("/kubeadm.yaml")["content"]),
        snapshot: None,
        provider_id: None,
    }
}
