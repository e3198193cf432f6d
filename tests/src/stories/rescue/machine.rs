//! The machine of the story, as its user, its BMC and its rack see it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use lab::{MachinePlan, MachineStatus, Power};
use serde_json::{Value, json};

use crate::command::done;
use crate::new_cluster::{items, text};
use crate::objects::{NAMESPACE, apply, fetch, get, kubectl, object, workflow_end};
use crate::rack::Rack;
use crate::said::says;
use crate::waiting::until;

/// Name of the ProviderMachine and of its template.
const NAME: &str = "looked-at";
/// The USB disk, as the kernel calls it.
const USB: &str = "/dev/sda";
/// An address that no card of the rack has.
const NOBODY: &str = "02:00:5e:00:53:02";

pub(super) struct Machine<'a> {
    pub(super) plan: &'a MachinePlan,
}

impl Machine<'_> {
    /// Name of its Server.
    pub(super) fn name(&self) -> &str {
        &self.plan.name
    }

    /// Has a ProviderMachine put the image on the disk of the Hardware and on the USB disk, and start it.
    pub(super) async fn installed(&self, rack: &Rack, image: &Path, limit: Duration) -> anyhow::Result<()> {
        rack.gantry(&["apply", "hardware", "-z", "hardware.csv"])?;
        let allow = "gantry.dev/allow-removable-disk=true";
        kubectl(
            rack,
            &["-n", NAMESPACE, "annotate", "hardware", self.name(), allow],
        )?;
        let file = format!("file://{}", image.display());
        let url = fetch(rack, "system", &file).await?.map_err(anyhow::Error::msg)?;
        let stream = |name: &str, disk: &str| {
            json!({"name": name, "image": "quay.io/tinkerbell/actions/image2disk:latest", "timeout": 1200,
                "environment": {"IMG_URL": url, "DEST_DISK": disk, "COMPRESSED": "true"}})
        };
        let disk = self.plan.disk;
        let reboot = json!({"name": "reboot", "image": "quay.io/tinkerbell/actions/reboot:latest", "timeout": 300,
            "environment": {"DEST_DISK": disk}});
        // What was written last is wiped first: the disk that the firmware would start, and then the slow one.
        let actions = json!([stream("stream-usb", USB), stream("stream-system", disk), reboot]);
        let template = json!({"template": {"version": "0.1", "name": NAME, "global_timeout": 3600, "tasks": [
            {"name": "install", "worker": "{{.device_1}}", "actions": actions}]}});
        let anywhere = "anywhere.eks.amazonaws.com/v1alpha1";
        apply(
            rack,
            &object(anywhere, "TinkerbellTemplateConfig", NAME, template),
        )?;
        let spec = json!({"provider": "metal", "clusterName": "story", "machine": NAME, "imageURL": file,
            "metal": {"templateRef": {"kind": "TinkerbellTemplateConfig", "name": NAME}}});
        apply(
            rack,
            &object("gantry.dev/v1alpha1", "ProviderMachine", NAME, spec),
        )?;
        until("the system is installed", limit, || async {
            let status = status(rack).map_err(|error| format!("{error:#}"))?;
            match status["driverState"].as_str() {
                Some("booting") => Ok(()),
                _ => Err(status.to_string()),
            }
        })
        .await
    }

    /// Deletes the ProviderMachine.
    pub(super) fn deleted(&self, rack: &Rack) -> anyhow::Result<()> {
        let delete = [
            "-n",
            NAMESPACE,
            "delete",
            "providermachines",
            NAME,
            "--wait=false",
        ];
        kubectl(rack, &delete).map(drop)
    }

    /// Waits until the ProviderMachine has given its server back.
    pub(super) async fn gone(&self, rack: &Rack, limit: Duration) -> anyhow::Result<()> {
        until("the ProviderMachine is gone", limit, || async {
            let machines = items(rack, "providermachines").map_err(|error| format!("{error:#}"))?;
            match machines.first() {
                None => Ok(()),
                Some(machine) => Err(machine["status"].to_string()),
            }
        })
        .await
    }

    pub(super) fn is_claimed(&self, rack: &Rack) -> anyhow::Result<bool> {
        let server = get(rack, "servers", self.name())?;
        Ok(server["spec"]["claim"]["name"] == NAME)
    }

    /// What `gantry explain` prints once it has all of this.
    pub(super) async fn explained(
        &self,
        rack: &Rack,
        parts: &[&str],
        limit: Duration,
    ) -> anyhow::Result<String> {
        until("gantry explain says so", limit, || async {
            let said = rack.gantry(&["explain", self.name()]);
            said.and_then(|said| says(&said, parts).map(|()| said))
                .map_err(|error| format!("{error:#}"))
        })
        .await
    }

    /// Waits until the Workflow of `gantry rescue server` has ended: its state and reason.
    pub(super) async fn rescue_end(&self, rack: &Rack, limit: Duration) -> anyhow::Result<(String, String)> {
        let begins = format!("rescue-{}-", self.name());
        let names = items(rack, "workflows")?.into_iter();
        let mut names = names.map(|workflow| text(&workflow["metadata"]["name"]));
        let name = names.find(|name| name.starts_with(&begins));
        workflow_end(rack, &name.context("no workflow of the rescue")?, limit).await
    }

    /// Waits until the first wipe is at this disk of those that were written to.
    pub(super) async fn wipes(&self, rack: &Rack, disk: usize, limit: Duration) -> anyhow::Result<()> {
        let name = format!("{NAME}-wipe-1");
        until("the disk is being wiped", limit, || async {
            let workflow = get(rack, "workflows", &name).map_err(|error| format!("{error:#}"))?;
            let status = &workflow["status"];
            match status["tasks"][0]["actions"][disk]["state"].as_str() {
                Some("RUNNING" | "SUCCESS") => Ok(()),
                _ => Err(format!("{}: {}", status["state"], status["reason"])),
            }
        })
        .await
    }

    /// Whether it has power, as the rack knows it.
    pub(super) fn power(&self, rack: &Rack) -> anyhow::Result<Power> {
        Ok(self.of_rack(rack)?.power)
    }

    /// How often it was powered on.
    pub(super) fn power_ons(&self, rack: &Rack) -> anyhow::Result<u64> {
        Ok(self.of_rack(rack)?.power_ons)
    }

    fn of_rack(&self, rack: &Rack) -> anyhow::Result<MachineStatus> {
        let status = lab::status(Some(&rack.plan.id), None)?;
        let mut machines = status.machines.into_iter();
        let found = machines.find(|machine| machine.name == self.plan.name);
        found.context("the rack does not know the machine")
    }

    /// From now on nothing answers at the BMC's address, as if it hung.
    pub(super) fn silence_bmc(&self, rack: &Rack) -> anyhow::Result<()> {
        self.neighbour(rack, &["replace"], &["lladdr", NOBODY, "nud", "permanent"])
    }

    pub(super) fn let_bmc_speak(&self, rack: &Rack) -> anyhow::Result<()> {
        self.neighbour(rack, &["delete"], &[])
    }

    /// Changes to which network card the appliance sends what is for the BMC.
    fn neighbour(&self, rack: &Rack, verb: &[&str], to: &[&str]) -> anyhow::Result<()> {
        let mut command = lab::site_command(&rack.plan, "ip")?;
        command
            .arg("neighbour")
            .args(verb)
            .arg(self.plan.bmc_ip.to_string());
        command.args(["dev", rack.plan.oob_interface]).args(to);
        done(&mut command).map(drop)
    }
}

fn status(rack: &Rack) -> anyhow::Result<Value> {
    let mut machine = get(rack, "providermachines", NAME)?;
    ensure!(machine["status"].is_object(), "no driver has seen it yet");
    Ok(machine["status"].take())
}
