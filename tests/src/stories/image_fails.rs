//! Story `image-fails`: a cluster of one member and one worker is upgraded to an image whose system never starts, under a client
//! that writes through its address all the time. The rollout stops at its first machine: the old member and the worker stay as
//! they are, and the cluster says what has failed. With the old file it goes back to where it was, and the machine that failed
//! is given back; with the right image the upgrade is carried out.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use disk_image::{ImageReader, measure};
use lab::UpOptions;
use resources::ImageManifest;

use super::Options;
use super::on_rack::on_rack;
use super::upgrade::another_image;
use crate::command::done;
use crate::end::End;
use crate::living_cluster::{
    all_ready, approved, explained, machines, one_and_one, settled, show_plans, within_stated_gap,
};
use crate::new_cluster::deleted;
use crate::outside_writer::OutsideWriter;
use crate::rack::Rack;

/// Two for the control plane, one of them free, and one for the worker.
const MACHINES: usize = 3;
/// Nothing that the kernel or the initial RAM file system starts is left.
const INIT: [&str; 2] = ["/usr/sbin/init", "/usr/lib/systemd/systemd"];

pub(crate) async fn run(options: Options) -> anyhow::Result<End> {
    let shape = UpOptions {
        machines: MACHINES,
        memory_mib: vec![3072],
        ..UpOptions::default()
    };
    on_rack(options, "image-fails-", shape, tell).await
}

async fn tell(rack: &mut Rack) -> anyhow::Result<()> {
    let yaml = std::fs::read_to_string(rack.file("cluster.yaml"))?;
    let health = "  machineHealthCheck:\n    nodeStartupTimeout: 15m0s\n  datacenterRef:\n";
    let yaml = yaml.replacen("  datacenterRef:\n", health, 1);
    std::fs::write(rack.file("cluster.yaml"), yaml)?;
    let working = one_and_one(rack, 2).await?;
    let next = show_plans(rack, 1)?;
    let before = machines(rack)?;

    let broken = broken_image(rack)?;
    let writer = OutsideWriter::begin(rack.cluster_client(), "image-fails");
    upgrade(rack, &working.replace(&rack.image, &broken))?;
    approved(rack).await?;
    explained(rack, "has failed").await?;
    let next = show_plans(rack, next)?;
    let now = machines(rack)?;
    ensure!(
        before.iter().all(|known| now.get(known.0) == Some(known.1)),
        "machines were {before:?} and are {now:?}"
    );
    all_ready(rack, 2, 1)?;
    print!("{}", rack.gantry(&["explain", &rack.plan.cluster_name])?);

    upgrade(rack, &working)?;
    settled(rack, "the machines of before", |now| *now == before).await?;
    let gap = writer.end()?;
    within_stated_gap(rack, gap)?;
    let next = show_plans(rack, next)?;
    all_ready(rack, 2, 1)?;

    let writer = OutsideWriter::begin(rack.cluster_client(), "image-works");
    let image = another_image(rack)?;
    upgrade(rack, &working.replace(&rack.image, &image))?;
    approved(rack).await?;
    let is_new = |name: &String| !before.contains_key(name);
    settled(rack, "new machines", |now| {
        now.len() == 2 && now.keys().all(is_new)
    })
    .await?;
    let gap = writer.end()?;
    within_stated_gap(rack, gap)?;
    show_plans(rack, next)?;
    all_ready(rack, 2, 1)?;

    deleted(rack).await?;
    rack.end_appliance()
}

fn upgrade(rack: &Rack, yaml: &str) -> anyhow::Result<()> {
    std::fs::write(rack.file("cluster.yaml"), yaml)?;
    print!(
        "{}",
        rack.gantry(&["upgrade", "cluster", "-f", "cluster.yaml", "--no-wait"])?
    );
    Ok(())
}

/// The rack's image without a program that could be the first process. Firmware, boot loader and kernel find nothing amiss, and
/// the appliance, which knows it by its manifest, does not either.
fn broken_image(rack: &Rack) -> anyhow::Result<String> {
    let path = rack.image.strip_prefix("file://").context("no file")?;
    let folder = rack.file("parts-broken");
    std::fs::create_dir(&folder)?;
    let known: ImageManifest = serde_json::from_slice(&std::fs::read(manifest(path)?)?)?;
    let raw = folder.join(format!("{}.raw", known.name));
    done(Command::new("zstd").args(["-q", "-d", path, "-o"]).arg(&raw))?;
    let root = root_offset(&raw, known.root_partition.context("no root partition")?)?;
    for program in INIT {
        let file_system = format!("{}?offset={root}", raw.display());
        let remove = format!("rm {program}");
        done(Command::new("debugfs").args(["-w", "-R", &remove, &file_system]))?;
    }
    let image = PathBuf::from(format!("{}.zst", raw.display()));
    done(Command::new("zstd").args(["-q", "-1", "--rm"]).arg(&raw))?;
    let measured = measure(ImageReader::open(File::open(&image)?)?, &known.name, &mut |_| {})?;
    let manifest_of_it = ImageManifest {
        os_family: known.os_family,
        kubernetes_version: known.kubernetes_version,
        cni: known.cni,
        guid_references: known.guid_references,
        ..measured
    };
    std::fs::write(
        manifest(&image.display().to_string())?,
        serde_json::to_vec(&manifest_of_it)?,
    )?;
    Ok(format!("file://{}", image.display()))
}

/// The manifest beside an image.
fn manifest(image: &str) -> anyhow::Result<PathBuf> {
    let name = image.strip_suffix(".raw.zst").context("no compressed raw disk")?;
    Ok(PathBuf::from(format!("{name}.json")))
}

/// Byte at which a partition begins.
fn root_offset(raw: &Path, number: u32) -> anyhow::Result<u64> {
    let table = done(Command::new("sfdisk").arg("--json").arg(raw))?;
    let table: serde_json::Value = serde_json::from_str(&table)?;
    let partitions = table["partitiontable"]["partitions"].as_array();
    let is_root = |partition: &&serde_json::Value| {
        let node = partition["node"].as_str().unwrap_or_default();
        node.strip_prefix(&*raw.to_string_lossy()) == Some(&number.to_string())
    };
    let root = partitions.into_iter().flatten().find(is_root);
    let start = root.and_then(|root| root["start"].as_u64());
    Ok(start.with_context(|| format!("no partition {number}: {table}"))? * 512)
}
