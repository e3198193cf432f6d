//! Objects on the appliance's API, made and read as a user does: with kubectl and gantry.

use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use crate::rack::Rack;
use crate::waiting::until;

/// Where the stories' objects are.
pub(crate) const NAMESPACE: &str = "eksa-system";
const FETCHED: Duration = Duration::from_secs(5 * 60);

/// An object of the stories' namespace.
pub(crate) fn object(version: &str, kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec})
}

/// What kubectl says about the appliance's API.
pub(crate) fn kubectl(rack: &Rack, arguments: &[&str]) -> anyhow::Result<String> {
    println!("$ kubectl {}", arguments.join(" "));
    let text = rack.appliance_asked(arguments)?;
    print!("{text}");
    Ok(text)
}

/// Applies an object with kubectl.
pub(crate) fn apply(rack: &Rack, object: &Value) -> anyhow::Result<()> {
    let file = rack.file("apply.json");
    std::fs::write(&file, object.to_string())?;
    kubectl(rack, &["apply", "-f", &file.display().to_string()]).map(drop)
}

/// Reads an object with gantry.
pub(crate) fn get(rack: &Rack, kind: &str, name: &str) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(
        &rack.gantry(&["get", kind, name, "-o", "json"])?,
    )?)
}

/// Has the appliance fetch an image: the URL that it serves it by, or the reason why it can't be had.
pub(crate) async fn fetch(rack: &Rack, name: &str, url: &str) -> anyhow::Result<Result<String, String>> {
    apply(
        rack,
        &object("gantry.dev/v1alpha1", "Image", name, json!({"url": url})),
    )?;
    let fetched = until("the image is fetched", FETCHED, || async {
        let image = get(rack, "images", name).map_err(|error| format!("{error:#}"))?;
        let status = &image["status"];
        match status["state"].as_str() {
            Some("ready") => Ok(Ok(word(&status["manifest"]["digest"]))),
            Some("failed") => Ok(Err(word(&status["reason"]))),
            _ => Err(status.to_string()),
        }
    })
    .await?;
    let digest = match fetched {
        Ok(digest) => digest,
        Err(reason) => return Ok(Err(reason)),
    };
    let hex = digest.strip_prefix("sha256:").context("no digest")?;
    Ok(Ok(format!("http://{}:7080/images/{hex}", rack.plan.site_address)))
}

/// Runs a template's actions on the rack's first machine, which its BMC boots from the network. `agent` is the MAC by
/// which the machine is known.
pub(crate) fn run_actions(rack: &Rack, name: &str, agent: &str, actions: &Value) -> anyhow::Result<()> {
    // YAML takes JSON, and so no text needs escaping by hand.
    let data = json!({"version": "0.1", "name": "story", "global_timeout": 3600, "tasks": [
        {"name": "install", "worker": "{{.device_1}}", "actions": actions}]});
    let template = json!({"data": serde_json::to_string_pretty(&data)?});
    apply(
        rack,
        &object("tinkerbell.org/v1alpha1", "Template", name, template),
    )?;
    let machine = rack.plan.machines.first().context("no machine")?;
    let spec = json!({
        "templateRef": name, "hardwareRef": machine.name, "hardwareMap": {"device_1": agent},
        "bootOptions": {"toggleAllowNetboot": true, "bootMode": "netboot"},
    });
    apply(rack, &object("tinkerbell.org/v1alpha1", "Workflow", name, spec))
}

/// Waits until a Workflow has ended: its state and reason.
pub(crate) async fn workflow_end(
    rack: &Rack,
    name: &str,
    limit: Duration,
) -> anyhow::Result<(String, String)> {
    until("the workflow ends", limit, || async {
        let workflow = get(rack, "workflows", name).map_err(|error| format!("{error:#}"))?;
        let status = &workflow["status"];
        let (state, reason) = (word(&status["state"]), word(&status["reason"]));
        match state.as_str() {
            "SUCCESS" | "FAILED" | "TIMEOUT" => Ok((state, reason)),
            _ => Err(reason),
        }
    })
    .await
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
