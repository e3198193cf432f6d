//! Hardware that goes from the CSV: reported, removed with `--prune` while it is free, refused by name while it is in use.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use resources::bmc::Machine;
use resources::gantry::Server;
use resources::tinkerbell::Hardware;
use serde_json::json;

use crate::gantry::Gantry;
use crate::objects::NAMESPACE;
use crate::said::says;
use crate::waiting::{until, until_there};

const HEADER: &str =
    "hostname,bmc_ip,bmc_username,bmc_password,mac,ip_address,netmask,gateway,nameservers,labels,disk";
const PATIENCE: Duration = Duration::from_secs(30);
const FILE: &str = "rack.csv";
/// Exit code for a file with faults.
const BAD_INPUT: i32 = 4;

pub(super) async fn run(client: &Client, gantry: &Gantry, folder: &Path) -> anyhow::Result<()> {
    let all = ["stays", "used", "free"];
    write(folder, &all, 10)?;
    let told = gantry.run(&["apply", "hardware", "-z", FILE])?;
    for name in all {
        says(&told, &[&format!("{name}: created")])?;
    }
    claim(client, Some("other-cluster-cp-0")).await?;

    // Without --prune nothing goes, and the lines say what would.
    write(folder, &["stays"], 10)?;
    let told = gantry.run(&["apply", "hardware", "-z", FILE])?;
    says(&told, &["gone from the file, but in use and kept: used"])?;
    says(
        &told,
        &["gone from the file, but kept: free (--prune removes them)"],
    )?;
    there(client, &all).await?;

    // In use: refused by name, and nothing at all is changed, not even what the file says of others.
    write(folder, &["stays"], 50)?;
    let told = gantry.refused(&["apply", "hardware", "-z", FILE, "--prune"], BAD_INPUT)?;
    says(&told, &["used (of other-cluster-cp-0)"])?;
    says(&told, &["nothing was changed"])?;
    there(client, &all).await?;
    ensure!(
        address(client, "stays").await?.as_deref() == Some("10.9.0.10"),
        "a refused import changed a row"
    );

    // Given back: both go, with their BMC and its password.
    claim(client, None).await?;
    let told = gantry.run(&["apply", "hardware", "-z", FILE, "--prune"])?;
    says(&told, &["used: removed, it is gone from the file"])?;
    says(&told, &["free: removed, it is gone from the file"])?;
    says(&told, &["stays: updated"])?;
    for name in ["used", "free"] {
        gone(client, name).await?;
    }
    there(client, &["stays"]).await?;
    says(
        &gantry.run(&["apply", "hardware", "-z", FILE, "--prune"])?,
        &["1 unchanged"],
    )
}

/// Writes the file; `first` is the last byte of the first address.
fn write(folder: &Path, names: &[&str], first: usize) -> anyhow::Result<()> {
    let mut text = format!("{HEADER}\n");
    for name in names {
        let number = ["stays", "used", "free"]
            .iter()
            .position(|known| known == name)
            .unwrap_or_default();
        // Nothing listens there, so the BMC's failure comes at once.
        text += &format!(
            "{name},127.0.9.{},admin,fake-{name},02:00:00:09:00:0{number},10.9.0.{},255.255.255.0,10.9.0.1,10.9.0.1,\
             type=worker,/dev/sda\n",
            number + 1,
            first + number
        );
    }
    Ok(std::fs::write(folder.join(FILE), text)?)
}

/// Claims the server `used`, or gives it back, as its owner does; waits until that is in the Hardware's labels.
async fn claim(client: &Client, owner: Option<&str>) -> anyhow::Result<()> {
    let servers: Api<Server> = Api::namespaced(client.clone(), NAMESPACE);
    until_there(&servers, "used", PATIENCE).await?;
    let claim = owner.map(|name| json!({"kind": "ProviderMachine", "name": name, "namespace": NAMESPACE}));
    let change = Patch::Merge(json!({"spec": {"claim": claim}}));
    servers.patch("used", &PatchParams::default(), &change).await?;
    let hardware: Api<Hardware> = Api::namespaced(client.clone(), NAMESPACE);
    until("the owner's label", PATIENCE, || async {
        let hardware = hardware.get("used").await.map_err(|error| error.to_string())?;
        let labels = hardware.metadata.labels.unwrap_or_default();
        let found = labels.get(resources::keys::OWNER_NAME).cloned();
        if found.as_deref() == owner {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await
}

async fn there(client: &Client, names: &[&str]) -> anyhow::Result<()> {
    for name in names {
        let (hardware, bmc, secret) = objects(client, name).await?;
        ensure!(hardware && bmc && secret, "{name}: {hardware} {bmc} {secret}");
    }
    Ok(())
}

/// The Server goes too, which its controller does.
async fn gone(client: &Client, name: &str) -> anyhow::Result<()> {
    let (hardware, bmc, secret) = objects(client, name).await?;
    ensure!(!hardware && !bmc && !secret, "{name}: {hardware} {bmc} {secret}");
    let servers: Api<Server> = Api::namespaced(client.clone(), NAMESPACE);
    until("its Server is gone", PATIENCE, || async {
        match servers.get_opt(name).await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

/// Whether Hardware, BMC and password are there.
async fn objects(client: &Client, name: &str) -> anyhow::Result<(bool, bool, bool)> {
    let hardware: Api<Hardware> = Api::namespaced(client.clone(), NAMESPACE);
    let bmcs: Api<Machine> = Api::namespaced(client.clone(), NAMESPACE);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    Ok((
        hardware.get_opt(name).await?.is_some(),
        bmcs.get_opt(&format!("bmc-{name}")).await?.is_some(),
        secrets.get_opt(&format!("bmc-{name}-auth")).await?.is_some(),
    ))
}

async fn address(client: &Client, name: &str) -> anyhow::Result<Option<String>> {
    let hardware: Api<Hardware> = Api::namespaced(client.clone(), NAMESPACE);
    let hardware = hardware.get(name).await?;
    let first = hardware.spec.interfaces.into_iter().next();
    Ok(first.and_then(|nic| nic.dhcp?.ip?.address))
}
