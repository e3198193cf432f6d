//! Images that are refused when the appliance fetches them: no machine is powered on for them.

use std::path::{Path, PathBuf};

use anyhow::ensure;

use super::power_ons::never_powered_on;
use crate::rack::Rack;
use crate::said::says;
use crate::small_image::{FIRST, bootable, file_system, new, write_at};

/// A cluster whose image is not the one that its checksum names, and one whose image no firmware can start.
pub(super) fn refused(rack: &Rack) -> anyhow::Result<()> {
    let image = bootable(rack, "wrong-digest-1.35.raw")?;
    let wrong = "0".repeat(64);
    let sidecar = PathBuf::from(format!("{}.sha256", image.display()));
    std::fs::write(&sidecar, format!("{wrong}  wrong-digest-1.35.raw\n"))?;
    let expected = format!("file://{} says sha256:{wrong}", sidecar.display());
    let parts = [
        "wrong digest: the file is sha256:",
        &expected,
        "nothing boots from it: put the right file there, or correct the digest",
    ];
    cluster_fails(rack, &image, &parts)?;
    println!("image with a wrong digest: refused before any machine was powered on");

    let image = new(
        rack,
        "no-boot-loader-1.35.raw",
        32,
        "label: gpt\nstart=2048, type=L\n",
    )?;
    file_system(&image, 24)?;
    let parts = [
        "no-boot-loader-1.35.raw: the image has no boot loader",
        "no EFI system partition; use a whole-disk image",
    ];
    cluster_fails(rack, &image, &parts)?;
    println!("image without a boot loader: refused before any machine was powered on");
    Ok(())
}

/// `gantry create cluster` with this image ends with the reason; nothing is powered on and nothing is kept to boot from.
fn cluster_fails(rack: &Rack, image: &Path, parts: &[&str]) -> anyhow::Result<()> {
    let url = format!("file://{}", image.display());
    let cluster = std::fs::read_to_string(rack.file("cluster.yaml"))?;
    std::fs::write(rack.file("bad-image.yaml"), cluster.replace(&rack.image, &url))?;
    let command = [
        "create",
        "cluster",
        "-f",
        "bad-image.yaml",
        "-z",
        "hardware.csv",
        "--timeout",
        "5",
    ];
    let (_, said) = rack.refused(&command)?;
    says(&said, parts)?;
    says(&said, &[&url, "gantry explain"])?;
    let name = &rack.plan.cluster_name;
    let explained = rack.gantry(&["explain", name])?;
    println!("$ gantry explain {name}\n{explained}");
    says(&explained, parts)?;
    never_powered_on(rack)?;
    let kept: Vec<_> = std::fs::read_dir(rack.file("data/images/sha256"))?.collect();
    ensure!(kept.is_empty(), "the appliance would serve {kept:?}");
    println!("{}", rack.gantry(&["delete", "cluster", name, "--yes"])?);
    Ok(())
}

/// Changes one byte of a file.
pub(super) fn damage(file: &Path) -> anyhow::Result<()> {
    write_at(file, b"damage", 3 * FIRST)
}
