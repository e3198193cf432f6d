//! Story `upgrade`: a cluster of one member and one worker gets another image, under a client that writes through its address
//! all the time. There is one server more for the control plane and none for the workers: the new member joins before the
//! old one goes, the worker goes before its successor is installed on its server. Nothing that was acknowledged is lost.

use std::path::Path;

use anyhow::{Context, ensure};
use lab::{Role, UpOptions};

use super::Options;
use super::on_rack::on_rack;
use crate::end::End;
use crate::etcd_data;
use crate::living_cluster::{all_ready, machines, settled, show_plans};
use crate::new_cluster::{create, deleted, ended, items, text};
use crate::outside_writer::OutsideWriter;
use crate::rack::Rack;

/// Two servers for the control plane, one for the worker.
const MACHINES: usize = 3;

pub(crate) async fn run(options: Options) -> anyhow::Result<End> {
    let shape = UpOptions {
        machines: MACHINES,
        memory_mib: vec![3072],
        ..UpOptions::default()
    };
    on_rack(options, "upgrade-", shape, tell).await
}

async fn tell(rack: &mut Rack) -> anyhow::Result<()> {
    let csv = rack
        .plan
        .hardware_csv_as(&[Role::ControlPlane, Role::ControlPlane]);
    std::fs::write(rack.file("hardware.csv"), csv)?;
    let yaml = std::fs::read_to_string(rack.file("cluster.yaml"))?;
    let one_worker = yaml.replacen("      count: 2\n", "      count: 1\n", 1);
    ensure!(one_worker != yaml, "no worker group of two");
    std::fs::write(rack.file("cluster.yaml"), &one_worker)?;
    rack.serve().await?;
    ended(create(rack)?, Ok(())).await?;
    all_ready(rack, 2, 1)?;
    let next = show_plans(rack, 1)?;
    let before = machines(rack)?;

    let image = another_image(rack)?;
    std::fs::write(rack.file("cluster.yaml"), one_worker.replace(&rack.image, &image))?;
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
    writer.end()?;
    show_plans(rack, next)?;
    let images = items(rack, "providermachines")?;
    let images: Vec<String> = images
        .iter()
        .map(|machine| text(&machine["spec"]["imageURL"]))
        .collect();
    ensure!(images.iter().all(|known| *known == image), "{images:?}");
    let host = |machines: &crate::living_cluster::Machines| {
        let worker = machines.iter().find(|(name, _)| name.contains("-md-0-"));
        worker.map(|(_, host)| host.clone())
    };
    ensure!(
        host(&before) == host(&after.machines),
        "the worker has the only server that there is for it"
    );
    all_ready(rack, 2, 1)?;
    etcd_data::is_equal(rack, 1)?;

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

/// The same image at another URL.
fn another_image(rack: &Rack) -> anyhow::Result<String> {
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
