//! Stories `upgrade`, `upgrade-alone` and `upgrade-minor`: a cluster of one member and one worker gets another image, or with
//! another image the next minor version of Kubernetes, under a client that writes through its address all the time. There is no server more for the workers: the worker goes before its successor is
//! installed on its server. With one more for the control plane the new member joins before the old one goes; without one the
//! data of etcd are saved, and the new member starts with them on the same server. Nothing that was acknowledged is lost, and
//! the API is silent no longer than the plan stated.

use std::path::Path;

use anyhow::{Context, ensure};
use lab::UpOptions;

use super::Options;
use super::on_rack::on_rack;
use crate::end::End;
use crate::etcd_data;
use crate::living_cluster::{
    Machines, all_ready, machines, of_pool, one_and_one, settled, show_plans, within_stated_gap,
};
use crate::new_cluster::{deleted, items, text};
use crate::outside_writer::OutsideWriter;
use crate::rack::Rack;

const NEWEST: &str = "1.35";
const OLDER: &str = "1.34";

/// With a spare server for the control plane.
pub(crate) async fn run(options: Options) -> anyhow::Result<End> {
    on_rack(options, "upgrade-", shape(3), async |rack| {
        upgraded(rack, 2, Change::Image).await
    })
    .await
}

/// Without one.
pub(crate) async fn run_alone(options: Options) -> anyhow::Result<End> {
    on_rack(options, "upgrade-", shape(2), async |rack| {
        upgraded(rack, 1, Change::Image).await
    })
    .await
}

/// From the minor version before the newest.
pub(crate) async fn run_minor(options: Options) -> anyhow::Result<End> {
    on_rack(options, "upgrade-", shape(3), async |rack| {
        upgraded(rack, 2, Change::Minor).await
    })
    .await
}

/// What the cluster gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// The same image at another URL.
    Image,
    /// The newest version of Kubernetes, from the one before.
    Minor,
}

fn shape(machines: usize) -> UpOptions {
    UpOptions {
        machines,
        memory_mib: vec![3072],
        ..UpOptions::default()
    }
}

/// The last server is for the worker.
async fn upgraded(rack: &mut Rack, control_planes: usize, change: Change) -> anyhow::Result<()> {
    if change == Change::Minor {
        let newest = std::fs::read_to_string(rack.file("cluster.yaml"))?;
        std::fs::write(rack.file("cluster.yaml"), older(rack, &newest)?)?;
    }
    let one_worker = one_and_one(rack, control_planes).await?;
    let next = show_plans(rack, 1)?;
    let before = machines(rack)?;

    let (image, yaml) = match change {
        Change::Image => {
            let image = another_image(rack)?;
            let yaml = one_worker.replace(&rack.image, &image);
            (image, yaml)
        }
        Change::Minor => (rack.image.clone(), newest(rack, &one_worker)?),
    };
    std::fs::write(rack.file("cluster.yaml"), yaml)?;
    let said = rack.gantry(&["upgrade", "plan", "cluster", "-f", "cluster.yaml"])?;
    print!("{said}");
    ensure!(said.contains("machines are replaced"), "{said}");
    ensure!(machines(rack)? == before, "the plan alone changes nothing");

    let writer = OutsideWriter::begin(rack.cluster_client(), "upgrade");
    print!(
        "{}",
        rack.gantry(&["upgrade", "cluster", "-f", "cluster.yaml", "--yes"])?
    );
    let is_new = |name: &String| !before.contains_key(name);
    let after = settled(rack, "new machines", |now| {
        now.len() == 2 && now.keys().all(is_new)
    })
    .await?;
    let gap = writer.end()?;
    within_stated_gap(rack, gap)?;
    show_plans(rack, next)?;
    let images = items(rack, "providermachines")?;
    let images: Vec<String> = images
        .iter()
        .map(|machine| text(&machine["spec"]["imageURL"]))
        .collect();
    ensure!(images.iter().all(|known| *known == image), "{images:?}");
    let host = |machines: &Machines, pool: &str| of_pool(machines, pool).map(|(_, server)| server);
    let stays =
        |pool: &str| -> anyhow::Result<bool> { Ok(host(&before, pool)? == host(&after.machines, pool)?) };
    ensure!(
        stays("md-0")?,
        "the worker has the only server that there is for it"
    );
    ensure!(
        stays("cp")? == (control_planes == 1),
        "the member is on the same server exactly where there is no other one"
    );
    all_ready(rack, 2, 1)?;
    etcd_data::is_equal(rack, 1)?;
    if change == Change::Minor {
        let versions = rack.kubectl(&[
            "get",
            "nodes",
            "-o",
            "jsonpath={.items[*].status.nodeInfo.kubeletVersion}",
        ])?;
        println!("kubelets: {versions}");
        let is_newest = |version: &str| version.starts_with(&format!("v{NEWEST}."));
        ensure!(versions.split_whitespace().all(is_newest), "{versions}");
    }

    // The same command again has nothing to do.
    print!(
        "{}",
        rack.gantry(&["upgrade", "cluster", "-f", "cluster.yaml", "--yes"])?
    );
    ensure!(
        machines(rack)? == after.machines,
        "an upgrade that is done is done"
    );

    deleted(rack).await?;
    rack.end_appliance()
}

/// The YAML with the version before the newest, and its image.
fn older(rack: &Rack, yaml: &str) -> anyhow::Result<String> {
    let wanted = format!("kubernetes-{OLDER}.");
    let image = rack.older_images.iter().find(|image| image.contains(&wanted));
    let image =
        image.with_context(|| format!("no image; build it: gantry image build --kubernetes {OLDER}"))?;
    Ok(with_version(yaml, NEWEST, OLDER)?.replace(&rack.image, image))
}

/// The YAML that [`older`] made, as it was.
fn newest(rack: &Rack, yaml: &str) -> anyhow::Result<String> {
    let images = rack.older_images.iter();
    let yaml = images.fold(yaml.to_owned(), |yaml, older| yaml.replace(older, &rack.image));
    with_version(&yaml, OLDER, NEWEST)
}

fn with_version(yaml: &str, from: &str, to: &str) -> anyhow::Result<String> {
    let line = |version: &str| format!("kubernetesVersion: \"{version}\"");
    ensure!(yaml.contains(&line(from)), "the cluster is not of {from}");
    Ok(yaml.replace(&line(from), &line(to)))
}

/// The same image at another URL.
pub(super) fn another_image(rack: &Rack) -> anyhow::Result<String> {
    let path = rack.image.strip_prefix("file://").context("no file")?;
    let parts = Path::new(path).parent().context("no folder")?;
    let next = rack.file("parts-next");
    std::fs::create_dir(&next)?;
    for entry in std::fs::read_dir(parts)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::hard_link(entry.path(), next.join(entry.file_name()))?;
        }
    }
    let name = Path::new(path).file_name().context("no file name")?;
    Ok(format!("file://{}", next.join(name).display()))
}
