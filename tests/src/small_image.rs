//! Small images that an appliance takes: a partition table, boot code that stops the processor, and little else.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::command::done;
use crate::rack::Rack;

/// Two bytes that stop a processor for good.
pub(crate) const BOOT_CODE: [u8; 2] = [0xfa, 0xf4];
/// Where the first partition begins.
pub(crate) const FIRST: u64 = 1 << 20;
/// One Linux partition in a master boot record.
const ONE_PARTITION: &str = "label: dos\nstart=2048, type=83, bootable\n";

/// An image with boot code and a file system.
pub(crate) fn bootable(rack: &Rack, name: &str) -> anyhow::Result<PathBuf> {
    let image = new(rack, name, 32, ONE_PARTITION)?;
    boot_code(&image)?;
    file_system(&image, 31)?;
    Ok(image)
}

/// An image of so many MiB that is nearly empty: compressed, it is small.
pub(crate) fn large(rack: &Rack, name: &str, mib: u64) -> anyhow::Result<PathBuf> {
    let image = new(rack, name, mib, ONE_PARTITION)?;
    boot_code(&image)?;
    done(Command::new("zstd").args(["--quiet", "--rm"]).arg(&image))?;
    Ok(PathBuf::from(format!("{}.zst", image.display())))
}

/// An image of so many MiB that no compression makes smaller, so that writing it takes its time.
pub(crate) fn random(rack: &Rack, name: &str, mib: u64) -> anyhow::Result<PathBuf> {
    let image = new(rack, name, mib, ONE_PARTITION)?;
    boot_code(&image)?;
    let mut file = OpenOptions::new().append(true).open(&image)?;
    file.set_len(FIRST)?;
    let mut random = File::open("/dev/urandom")?.take((mib << 20) - FIRST);
    std::io::copy(&mut random, &mut file)?;
    Ok(image)
}

/// A file of so many MiB with this partition table.
pub(crate) fn new(rack: &Rack, name: &str, mib: u64, partitions: &str) -> anyhow::Result<PathBuf> {
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

/// Gives an image something that firmware starts.
pub(crate) fn boot_code(image: &Path) -> anyhow::Result<()> {
    write_at(image, &BOOT_CODE, 0)
}

/// Makes an empty file system in the first partition.
pub(crate) fn file_system(image: &Path, mib: u64) -> anyhow::Result<()> {
    file_system_of(image, mib, None)
}

/// Makes a file system with the files of a folder in the first partition.
pub(crate) fn file_system_of(image: &Path, mib: u64, folder: Option<&Path>) -> anyhow::Result<()> {
    let mut command = Command::new("mkfs.ext4");
    command.args(["-q", "-F", "-E", &format!("offset={FIRST}")]);
    if let Some(folder) = folder {
        command.arg("-d").arg(folder);
    }
    done(command.arg(image).arg(format!("{}k", mib << 10))).map(drop)
}

/// Overwrites a part of a file.
pub(crate) fn write_at(file: &Path, octets: &[u8], at: u64) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).open(file)?;
    Ok(file.write_all_at(octets, at)?)
}
