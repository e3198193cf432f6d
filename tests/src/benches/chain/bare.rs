//! kubeadm by hand: the node image on the disks already, and a script at the first boot that runs kubeadm.
//!
//! Both machines are switched on at once, as somebody at two consoles would; the worker asks for the API until it is
//! there. Files, kubeadm's configuration and flannel are what Gantry would give: only who brings them differs.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bmc::{Bmc as _, BootDevice, BootMode, BootOverride, Connection, PowerAction, Redfish};
use jiff::{SignedDuration, Timestamp};
use lab::{MachinePlan, Role, UpOptions};
use node_config::{
    AddressHolder, BootstrapDocument, CaFiles, ClusterSettings, HostNetwork, Images, JoinSecrets, NodePlace,
    NodeSettings, Profile, install,
};
use pki::{ClusterPki, Validity};
use resources::gantry::{HandoverPolicy, Release};
use resources::{ImageManifest, Secret};
use serde_json::{Value, json};

use super::watch::{kubectl, ready_nodes, until_seen};
use super::way::Way;
use crate::node_disk::{self, NewFile};
use crate::rack::Rack;

/// cloud-init runs it late at every boot, as it does the script of Gantry's first boot.
const SCRIPT: &str = "/var/lib/cloud/scripts/per-boot/bare-kubeadm";
/// What the script says on the console.
const MARKS: [&str; 2] = ["bare: OS up", "bare: kubeadm done"];
const SEED: &str = "/var/lib/cloud/seed/nocloud";

pub(super) async fn run(seed: &str) -> anyhow::Result<Way> {
    Rack::up(seed, UpOptions::default())?.during(shown).await
}

/// What failed is to be seen on the consoles.
async fn shown(rack: &mut Rack) -> anyhow::Result<Way> {
    let result = measured(rack).await;
    if result.is_err() {
        for machine in &rack.plan.machines {
            let console = std::fs::read(rack.paths.console_log(machine)).unwrap_or_default();
            let end = String::from_utf8_lossy(&console[console.len().saturating_sub(4000)..]).into_owned();
            eprintln!("--- {}\n{end}", machine.name);
        }
    }
    result
}

async fn measured(rack: &Rack) -> anyhow::Result<Way> {
    let inputs = Inputs::new(rack)?;
    let began = Instant::now();
    for machine in &rack.plan.machines {
        node_disk::write_image(
            &inputs.image,
            &inputs.manifest,
            &rack.paths.disk(machine, 1),
            &machine.uuid,
        )?;
    }
    let written = began.elapsed().as_secs_f64();
    for machine in &rack.plan.machines {
        node_disk::put(&rack.paths.disk(machine, 1), &inputs.files(machine)?)?;
    }
    let kubeconfig = rack.file("observer.kubeconfig");
    let server = format!("https://{}:6443", rack.plan.vip);
    let text = inputs
        .pki
        .admin_kubeconfig(&server, &rack.plan.cluster_name, inputs.validity)?;
    std::fs::write(&kubeconfig, text.reveal())?;
    let flannel = rack.file("flannel.json");
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": node_config::flannel(&inputs.cluster)});
    std::fs::write(&flannel, objects.to_string())?;

    let start = Instant::now();
    power_on(rack)?;
    let (mut network, mut seen) = (false, BTreeMap::new());
    let ready = until_seen("both nodes Ready", || {
        look_at_consoles(rack, start, &mut seen);
        let Some(nodes) = ready_nodes(rack, &kubeconfig) else {
            return Ok(false);
        };
        if !network {
            let file = flannel.display().to_string();
            // The API may still be on its way up: then the next look tries again.
            network = kubectl(rack, &kubeconfig, &["apply", "-f", &file]).is_ok();
        }
        for name in &nodes {
            let after = start.elapsed().as_secs_f64();
            seen.entry((name.clone(), "Ready")).or_insert(after);
        }
        Ok(nodes.len() == rack.plan.machines.len())
    })
    .await?;
    let mut stages = vec!["by hand, seconds since the power-on of both machines:".to_owned()];
    stages.extend(
        seen.iter()
            .map(|((machine, stage), after)| format!("{machine}  {stage:20} {after:.0} s")),
    );
    Ok(Way {
        ready: (ready - start).as_secs_f64(),
        written,
        stages,
    })
}

type Seen = BTreeMap<(String, &'static str), f64>;

fn look_at_consoles(rack: &Rack, start: Instant, seen: &mut Seen) {
    for machine in &rack.plan.machines {
        let console = std::fs::read(rack.paths.console_log(machine)).unwrap_or_default();
        let text = String::from_utf8_lossy(&console);
        for mark in MARKS {
            if text.contains(mark) {
                let after = start.elapsed().as_secs_f64();
                seen.entry((machine.name.clone(), mark)).or_insert(after);
            }
        }
    }
}

/// Switches all machines on by their BMCs, to boot from disk.
fn power_on(rack: &Rack) -> anyhow::Result<()> {
    let machines = rack.plan.machines.clone();
    lab::in_namespace(&rack.plan.site_namespace, move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let switch = async |machine: &MachinePlan| -> Result<(), bmc::Error> {
            let host = machine.bmc_ip.to_string();
            let password = machine.bmc_password.clone();
            let bmc = Redfish::new(Connection::insecure(&host, &machine.bmc_user, password))?;
            bmc.set_boot(BootOverride::once(BootDevice::Disk, BootMode::Uefi))
                .await?;
            bmc.power(PowerAction::On).await
        };
        machines
            .iter()
            .try_for_each(|machine| runtime.block_on(switch(machine)))
            .map_err(io::Error::other)
    })
    .context("power-on")
}

/// What makes the machines nodes of one cluster.
struct Inputs {
    image: PathBuf,
    manifest: ImageManifest,
    cluster: ClusterSettings,
    pki: ClusterPki,
    validity: Validity,
    token: Secret<String>,
    network: BTreeMap<String, HostNetwork>,
}

impl Inputs {
    fn new(rack: &Rack) -> anyhow::Result<Inputs> {
        let plan = &rack.plan;
        let image = PathBuf::from(
            rack.image
                .strip_prefix("file://")
                .context("the image is no file")?,
        );
        let mut manifest = image.clone().into_os_string();
        manifest.push(".manifest.json");
        let manifest = serde_json::from_slice(&std::fs::read(manifest)?)?;
        let release: Release = serde_json::from_slice(&std::fs::read(rack.file("parts/release.json"))?)?;
        let validity = Validity::lasting(Timestamp::now(), SignedDuration::from_hours(24));
        let network = |machine: &MachinePlan| HostNetwork {
            mac: machine.boot_mac,
            ip: machine.ip,
            prefix: plan.prefix,
            gateway: Some(plan.gateway),
            nameservers: vec![plan.site_address],
            vlan: None,
        };
        Ok(Inputs {
            image,
            manifest,
            cluster: ClusterSettings {
                name: plan.cluster_name.clone(),
                endpoint: plan.vip,
                address_holder: AddressHolder::Keepalived { router_id: 11 },
                kubernetes_version: release.spec.patch_version.clone(),
                pod_cidr: plan.pod_cidr.clone(),
                service_cidr: plan.service_cidr.clone(),
                node_mask: 24,
                cert_sans: Vec::new(),
                api_server_extra_args: BTreeMap::new(),
                audit_policy: None,
                appliance: String::new(),
                proxy: None,
                registry_mirror: None,
                registry_credentials: None,
                resolv_conf: None,
                profile: Profile::Lab,
                images: Images::from_release(&release.spec)?,
                system: node_config::System::Debian,
            },
            pki: ClusterPki::generate(validity)?,
            validity,
            token: Secret::new("bench0.bench0bench0benc".to_owned()),
            network: plan
                .machines
                .iter()
                .map(|machine| (machine.name.clone(), network(machine)))
                .collect(),
        })
    }

    /// Everything that is laid into the machine's root file system.
    fn files(&self, machine: &MachinePlan) -> anyhow::Result<Vec<NewFile>> {
        let mut files = self.installed(machine)?;
        let document = self.document(machine)?;
        for file in &document.files {
            files.push(NewFile {
                path: file.path.clone(),
                mode: file.mode,
                contents: STANDARD.decode(&file.content_base64)?,
            });
        }
        let [up, done] = MARKS;
        let script = format!(
            "#!/bin/sh\nexec >/dev/console 2>&1\necho '{up}'\n{} && echo '{done}'\n",
            document.command.join(" ")
        );
        files.push(NewFile {
            path: SCRIPT.to_owned(),
            mode: 0o700,
            contents: script.into_bytes(),
        });
        Ok(files)
    }

    /// What Gantry's own template would write.
    fn installed(&self, machine: &MachinePlan) -> anyhow::Result<Vec<NewFile>> {
        let network = self
            .network
            .get(&machine.name)
            .context("a machine without network")?;
        let text = install::template(&install::InstallInputs {
            workflow: "bare",
            machine: &machine.name,
            instance_id: &machine.uuid,
            network,
            image: &self.manifest,
            image_url: "",
            os_family: "debian",
            metadata_url: "",
            users: &[],
            mounts: &[],
            handover: HandoverPolicy::Auto,
            patience: 1,
        })?;
        let template: Value = serde_saphyr::from_str(&text)?;
        let actions = template["tasks"][0]["actions"]
            .as_array()
            .context("the template has no actions")?;
        let mut files = Vec::new();
        for action in actions {
            let environment = &action["environment"];
            let value = |name: &str| environment[name].as_str().unwrap_or_default().to_owned();
            let mut add = |path: String, mode: u32, contents: String| {
                files.push(NewFile {
                    path,
                    mode,
                    contents: contents.into_bytes(),
                });
            };
            match action["image"].as_str() {
                Some("gantry/writefile") => {
                    let mode = u32::from_str_radix(&value("MODE"), 8)?;
                    add(value("DEST_PATH"), mode, value("CONTENTS"));
                }
                Some("gantry/seed") => {
                    add(format!("{SEED}/network-config"), 0o600, value("NETWORK_CONFIG"));
                    add(format!("{SEED}/user-data"), 0o600, value("USER_DATA"));
                    add(format!("{SEED}/meta-data"), 0o600, value("META_DATA"));
                }
                _ => {}
            }
        }
        Ok(files)
    }

    fn document(&self, machine: &MachinePlan) -> anyhow::Result<BootstrapDocument> {
        let node = NodeSettings {
            name: machine.name.clone(),
            place: NodePlace::Known {
                ip: machine.ip,
                mac: machine.boot_mac,
                provider_id: format!("tinkerbell://eksa-system/{}", machine.name),
            },
            labels: BTreeMap::new(),
            taints: None,
            kubelet: None,
            time_servers: Vec::new(),
            cert_bundles: Vec::new(),
        };
        Ok(match machine.role {
            Role::ControlPlane => node_config::init(&self.cluster, &node, &self.ca_files(), &self.token)?,
            Role::Worker => {
                let secrets = JoinSecrets {
                    token: self.token.clone(),
                    ca_cert_hash: self.pki.ca_cert_hash()?,
                };
                node_config::join_worker(&self.cluster, &node, &secrets)?
            }
        })
    }

    fn ca_files(&self) -> CaFiles {
        let pki = &self.pki;
        CaFiles {
            ca_certificate: pki.ca.certificate.clone(),
            ca_key: pki.ca.key.clone(),
            etcd_certificate: pki.etcd.certificate.clone(),
            etcd_key: pki.etcd.key.clone(),
            front_proxy_certificate: pki.front_proxy.certificate.clone(),
            front_proxy_key: pki.front_proxy.key.clone(),
            service_account_public: pki.service_account.public.clone(),
            service_account_private: pki.service_account.private.clone(),
        }
    }
}
