//! Images that are refused when the appliance fetches them: no machine is powered on for them. Also the small images
//! that the story is made of.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use super::says;
use crate::rack::{Rack, done};

/// Two octets that stop a processor for good.
const BOOT_CODE: [u8; 2] = [0xfa, 0xf4];
/// Where the first partition begins.
const FIRST: u64 = 1 << 20;
/// One Linux partition in a master boot record.
const ONE_PARTITION: &str = "label: dos\nstart=2048, type=83, bootable\n";

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
    let status = lab::status(Some(&rack.plan.id), None)?;
    let power_ons = status.machines.first().context("no machine")?.power_ons;
    ensure!(power_ons == 0, "a machine was powered on");
    let kept: Vec<_> = std::fs::read_dir(rack.file("data/images/sha256"))?.collect();
    ensure!(kept.is_empty(), "the appliance would serve {kept:?}");
    println!("{}", rack.gantry(&["delete", "cluster", name])?);
    Ok(())
}

/// An image with boot code and a file system.
pub(super) fn bootable(rack: &Rack, name: &str) -> anyhow::Result<PathBuf> {
    let image = new(rack, name, 32, ONE_PARTITION)?;
    write_at(&image, &BOOT_CODE, 0)?;
    file_system(&image, 31)?;
    Ok(image)
}

/// An image of so many MiB that is nearly empty: compressed, it is small.
pub(super) fn large(rack: &Rack, name: &str, mib: u64) -> anyhow::Result<PathBuf> {
    let image = new(rack, name, mib, ONE_PARTITION)?;
    write_at(&image, &BOOT_CODE, 0)?;
    done(Command::new("zstd").args(["--quiet", "--rm"]).arg(&image))?;
    Ok(PathBuf::from(format!("{}.zst", image.display())))
}

/// Changes one octet of a file.
pub(super) fn damage(file: &Path) -> anyhow::Result<()> {
    write_at(file, b"damage", 3 * FIRST)
}

fn new(rack: &Rack, name: &str, mib: u64, partitions: &str) -> anyhow::Result<PathBuf> {
    let path = rack.file(name);
    File::create(&path)?.set_len(mib << 20)?;
    let mut command = Command::new("sfdisk");
    command.arg("--quiet").arg(&path).stdin(Stdio::piped());
    let mut child = command.spawn().context("sfdisk")?;
    let mut input = child.stdin.take().context("no standard input")?;
    input.write_all(partitions.as_bytes())?;
    drop(input);
    let status = child.wait()?;
    ensure!(status.success(), "sfdisk: {status}");
    Ok(path)
}

fn file_system(image: &Path, mib: u64) -> anyhow::Result<()> {
    let mut command = Command::new("mkfs.ext4");
    command.args(["-q", "-F", "-E", &format!("offset={FIRST}")]);
    done(command.arg(image).arg(format!("{}k", mib << 10))).map(drop)
}

fn write_at(file: &Path, octets: &[u8], at: u64) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).open(file)?;
    Ok(file.write_all_at(octets, at)?)
}
