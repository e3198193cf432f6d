//! Story `two-roots`: a machine has two disks that both hold the node image. Whatever their order and the firmware, the
//! disk that the firmware starts is the one whose root comes up, and its fstab names that root. Boots GRUB, kernel and
//! initramfs as they are in the image; in the place of init a script says where it is and switches off.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use resources::ImageManifest;

use super::Options;
use crate::command::done;
use crate::end::End;
use crate::node_disk::{self, NewFile};
use crate::rack::missing_for;
use crate::server::program;

/// From the firmware to the script, in an emulated machine.
const BOOT: Duration = Duration::from_secs(180);
/// The disks are a little larger than the image.
const ROOM: u64 = 64 << 20;

/// OVMF without Secure Boot, as Debian packages it: code and empty variables.
const UEFI: (&str, &str) = (
    "/usr/share/OVMF/OVMF_CODE_4M.fd",
    "/usr/share/OVMF/OVMF_VARS_4M.fd",
);

const GRUB_CONFIG: &str = "/boot/grub/grub.cfg";

/// Init of the machine: names its disk, and says whether root is what fstab says it is.
const MARKER: &str = r#"#!/bin/sh
wanted=$(sed -n 's,^PARTUUID=\([^ ]*\) / .*,\1,p' /etc/fstab)
root=$(findmnt -n -o SOURCE /)
echo "ROOT-IS @NAME@, at $root"
[ "$(blkid -s PARTUUID -o value "$root")" = "$wanted" ] && echo "FSTAB-IS-RIGHT"
echo o > /proc/sysrq-trigger
while :; do sleep 1; done
"#;

pub(crate) async fn run(_: Options) -> anyhow::Result<End> {
    let tools = ["qemu-system-x86_64", "debugfs", "timeout"];
    if let Some(what) = missing_for(&tools) {
        return Ok(End::Skipped(what));
    }
    tokio::task::spawn_blocking(tell).await??;
    Ok(End::Passed)
}

fn tell() -> anyhow::Result<()> {
    let folder = tempfile::Builder::new()
        .prefix("gantry-roots-")
        .tempdir_in("/var/tmp")?;
    let parts = folder.path().join("parts");
    let urls = done(Command::new(program()?).args(["image", "export"]).arg(&parts))?;
    let image = PathBuf::from(
        urls.lines()
            .next()
            .and_then(|url| url.strip_prefix("file://"))
            .context("no node image")?,
    );
    // The disk of an earlier installation, and the one that was just written.
    let old = installed(folder.path(), &image, "old")?;
    let new = installed(folder.path(), &image, "new")?;
    for uefi in [false, true] {
        for disks in [[&new, &old], [&old, &new]] {
            let started = Instant::now();
            let console = boot(folder.path(), disks, &new, uefi)?;
            let firmware = if uefi { "UEFI" } else { "BIOS" };
            let shown = || tail(&console);
            ensure!(
                console.contains("ROOT-IS new") && !console.contains("ROOT-IS old"),
                "{firmware}: the root of the new disk did not come up: {}",
                shown()
            );
            ensure!(
                console.contains("FSTAB-IS-RIGHT"),
                "{firmware}: fstab names another root: {}",
                shown()
            );
            println!(
                "{firmware}, {} first: root of the new disk after {} s",
                if disks.first() == Some(&&new) {
                    "new disk"
                } else {
                    "old disk"
                },
                started.elapsed().as_secs()
            );
        }
    }
    Ok(())
}

/// A disk as the agent writes it, whose init is the script: by a kernel argument behind those of the image.
fn installed(folder: &Path, image: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let mut manifest = image.as_os_str().to_owned();
    manifest.push(".manifest.json");
    let manifest: ImageManifest = serde_json::from_slice(&std::fs::read(manifest)?)?;
    let disk = folder.join(format!("{name}.raw"));
    File::create(&disk)?.set_len(manifest.raw_size + ROOM)?;
    node_disk::write_image(image, &manifest, &disk, name)?;
    let config = node_disk::read(&disk, GRUB_CONFIG)?;
    let lines = config.lines().map(|line| {
        let kernel = line.trim_start().starts_with("linux ");
        format!("{line}{}\n", if kernel { " quiet init=/marker" } else { "" })
    });
    let file = |path: &str, mode, contents: String| NewFile {
        path: path.to_owned(),
        mode,
        contents: contents.into_bytes(),
    };
    let files = [
        file(GRUB_CONFIG, 0o644, lines.collect()),
        file("/marker", 0o755, MARKER.replace("@NAME@", name)),
    ];
    node_disk::put(&disk, &files)?;
    Ok(disk)
}

/// What the machine says on its serial console until it switches itself off.
fn boot(folder: &Path, disks: [&PathBuf; 2], from: &Path, uefi: bool) -> anyhow::Result<String> {
    let mut machine = Command::new("timeout");
    machine
        .arg(BOOT.as_secs().to_string())
        .args([
            "qemu-system-x86_64",
            "-machine",
            "q35,accel=tcg",
            "-cpu",
            "max",
            "-smp",
            "2",
        ])
        .args([
            "-m",
            "1024",
            "-nic",
            "none",
            "-display",
            "none",
            "-no-reboot",
            "-serial",
            "stdio",
        ]);
    if uefi {
        let variables = folder.join("variables.fd");
        std::fs::copy(UEFI.1, &variables).with_context(|| UEFI.1.to_owned())?;
        machine
            .args([
                "-drive",
                &format!("if=pflash,format=raw,readonly=on,file={}", UEFI.0),
            ])
            .args([
                "-drive",
                &format!("if=pflash,format=raw,file={}", variables.display()),
            ]);
    }
    for (number, disk) in disks.into_iter().enumerate() {
        let boot = if disk == from { ",bootindex=1" } else { "" };
        let drive = format!(
            "file={},format=raw,if=none,id=d{number},snapshot=on",
            disk.display()
        );
        machine
            .args(["-drive", &drive])
            .args(["-device", &format!("virtio-blk-pci,drive=d{number}{boot}")]);
    }
    let output = machine
        .stdin(Stdio::null())
        .output()
        .context("qemu-system-x86_64")?;
    let console = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr),
        tail(&console)
    );
    Ok(console)
}

/// The last lines of a console.
fn tail(console: &str) -> String {
    let lines: Vec<&str> = console.lines().collect();
    lines
        .get(lines.len().saturating_sub(20)..)
        .unwrap_or_default()
        .join("\n")
}
