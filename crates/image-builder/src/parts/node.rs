//! The Debian node: the tree set up for Kubernetes, container images preloaded, as a disk that boots under BIOS
//! and UEFI (layout in [`crate::disk`]), without machine-id and host keys.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use resources::GuidReference;

use crate::command::Run;
use crate::error::{Error, Result};
use crate::json_file::write_json;
use crate::part::Part;
use crate::parts::job::Job;
use crate::versions::{NODE_CNI, Versions, with_versions};
use crate::{disk, raw_image, recipe};

/// Room in the root file system before first boot grows it: cloud-init writes before it resizes.
const SLACK: u64 = 256 << 20;
/// GRUB modules of both core images; each firmware adds its own.
const GRUB_MODULES: [&str; 12] = [
    "part_gpt",
    "ext2",
    "normal",
    "linux",
    "regexp",
    "configfile",
    "serial",
    "terminal",
    "echo",
    "test",
    "gzio",
    "minicmd",
];

/// Builds the compressed disk and its manifest.
pub(crate) fn build(job: &Job<'_>) -> Result<()> {
    let versions = job.release.versions()?;
    job.step("unpack Debian");
    let root = job.debian_tree(&[])?;
    let grub = Grub::make(job, &root)?;

    job.step("set up");
    let references = lay_files(&root, &versions)?;
    install_kubernetes(job, &root)?;
    let script = recipe::unpack("node/setup.sh", &job.work)?;
    job.run(Run::contained_script(&script).arg(&root))?;

    job.step("preload container images");
    let script = recipe::unpack("node/preload.sh", &job.work)?;
    job.run(
        Run::contained_script(&script)
            .arg(&root)
            .arg(job.input(Part::Containers)?),
    )?;

    job.step("file systems");
    let raw = job.work.join("disk.raw");
    assemble(job, &root, &grub, &raw)?;

    let found = raw_image::places(&raw, disk::ROOT_GUID).map_err(Error::file("search", &raw))?;
    if found.len() != references {
        return Err(Error::Recipe {
            file: "node/files".to_owned(),
            reason: format!(
                "its files name the root partition {references} times, the disk {} times",
                found.len()
            ),
        });
    }

    job.step("compress");
    let name = &versions.node.name;
    let target = job.out.join(format!("{name}.raw.zst"));
    let compressed = raw_image::compress(name, &raw, &target, job.cancel, &|percent| job.percent(percent));
    let mut manifest = compressed.map_err(Error::file("compress", &raw))?;

    job.step("manifest");
    manifest.root_partition = Some(disk::ROOT_NUMBER);
    manifest.esp_partition = Some(disk::ESP_NUMBER);
    manifest.os_family = Some(versions.node.os_family.clone());
    manifest.kubernetes_version = Some(versions.kubernetes.clone());
    manifest.cni = Some(NODE_CNI.to_owned());
    let reference = |offset| GuidReference {
        partition: disk::ROOT_NUMBER,
        offset,
    };
    manifest.guid_references = Some(found.into_iter().map(reference).collect());
    write_json(&job.out.join(format!("{name}.json")), &manifest)
}

fn install_kubernetes(job: &Job<'_>, root: &Path) -> Result<()> {
    let programs = root.join("usr/bin");
    let from = job.input(Part::Kubernetes)?.join("kube");
    fs::copy(&from, programs.join("kube")).map_err(Error::file("copy", &from))?;
    ["kubelet", "kubeadm", "kubectl"].iter().try_for_each(|name| {
        let link = programs.join(name);
        symlink("kube", &link).map_err(Error::file("link", &link))
    })
}

/// Puts the recipe's files into the tree. Gives back how often they name the root partition.
fn lay_files(root: &Path, versions: &Versions) -> Result<usize> {
    let mut references = 0;
    for (path, text) in recipe::below("node/files/") {
        let text = with_versions(text, versions)
            .replace("@CMDLINE@", &disk::kernel_arguments())
            .replace("@ROOT_GUID@", disk::ROOT_GUID);
        references += text.matches(disk::ROOT_GUID).count();
        recipe::write(&root.join(path), &text, text.starts_with("#!"))?;
    }
    Ok(references)
}

/// GRUB's parts, made by the tree's own `grub-mkimage` so that program and modules are of one version.
struct Grub {
    boot_code: [u8; 440],
    core: Vec<u8>,
    efi: PathBuf,
}

impl Grub {
    fn make(job: &Job<'_>, root: &Path) -> Result<Self> {
        recipe::write(
            &root.join("tmp/early.cfg"),
            recipe::text("node/grub/early.cfg")?,
            false,
        )?;
        let make = |format: &str, output: &str, own: &[&str]| {
            let run = Run::new("chroot").arg(root).args([
                "grub-mkimage",
                "-O",
                format,
                "-c",
                "/tmp/early.cfg",
                "-p",
                "/boot/grub",
                "-o",
                output,
            ]);
            job.run(run.args(GRUB_MODULES).args(own))
        };
        make("i386-pc", "/tmp/core.img", &["biosdisk"])?;
        make("x86_64-efi", "/tmp/bootx64.efi", &["fat", "efi_gop", "all_video"])?;

        let read = |path: &str| fs::read(root.join(path)).map_err(Error::file("read", &root.join(path)));
        let unfit = |what: &str| Error::Recipe {
            file: "node/grub/early.cfg".to_owned(),
            reason: format!("GRUB's {what} does not fit its place"),
        };
        let boot_code =
            disk::boot_code(&read("usr/lib/grub/i386-pc/boot.img")?).ok_or_else(|| unfit("boot code"))?;
        let core = disk::core_image(&read("tmp/core.img")?).ok_or_else(|| unfit("core image"))?;
        let efi = job.work.join("bootx64.efi");
        fs::copy(root.join("tmp/bootx64.efi"), &efi).map_err(Error::file("copy", &efi))?;
        Ok(Self { boot_code, core, efi })
    }
}

fn assemble(job: &Job<'_>, root: &Path, grub: &Grub, raw: &Path) -> Result<()> {
    let root_size = used_octets(job, root)? + SLACK;
    let file = fs::File::create(raw).map_err(Error::file("create", raw))?;
    file.set_len(disk::disk_size(root_size))
        .map_err(Error::file("size", raw))?;
    drop(file);

    let table = job.work.join("partitions.sfdisk");
    fs::write(&table, disk::partition_table(root_size)).map_err(Error::file("write", &table))?;
    job.run(
        Run::new("sh")
            .args(["-c", "sfdisk --quiet \"$0\" < \"$1\""])
            .arg(raw)
            .arg(&table),
    )?;

    let kib = format!("{}k", root_size.next_multiple_of(1 << 20) >> 10);
    let offset = format!(
        "offset={},lazy_itable_init=1,lazy_journal_init=1",
        disk::root_offset()
    );
    let mke2fs = Run::new("mke2fs").args([
        "-q",
        "-F",
        "-t",
        "ext4",
        "-m",
        "1",
        "-L",
        disk::ROOT_LABEL,
        "-E",
        &offset,
        "-d",
    ]);
    job.run(mke2fs.arg(root).arg(raw).arg(kib))?;

    let esp = esp_image(job, &grub.efi)?;
    let write =
        |offset, octets: &[u8]| disk::write_at(raw, offset, octets).map_err(Error::file("write", raw));
    write(disk::esp_offset(), &esp)?;
    write(disk::bios_offset(), &grub.core)?;
    write(0, &grub.boot_code)
}

/// Bytes that the tree takes on ext4: what `du` counts, and an eighth for inodes, journal and bitmaps.
fn used_octets(job: &Job<'_>, root: &Path) -> Result<u64> {
    let listing = Run::new("du")
        .args(["--summarize", "--one-file-system", "--block-size=1"])
        .arg(root)
        .output(job.cancel)?;
    let octets = listing
        .split_whitespace()
        .next()
        .and_then(|word| word.parse::<u64>().ok());
    let octets = octets.ok_or_else(|| Error::Recipe {
        file: "node".to_owned(),
        reason: format!("du printed {listing:?}"),
    })?;
    Ok(octets + octets / 8)
}

fn esp_image(job: &Job<'_>, loader: &Path) -> Result<Vec<u8>> {
    let esp = job.work.join("esp.img");
    let file = fs::File::create(&esp).map_err(Error::file("create", &esp))?;
    file.set_len(disk::ESP_SECTORS * disk::SECTOR)
        .map_err(Error::file("size", &esp))?;
    job.run(
        Run::new("mkfs.fat")
            .args(["-F", "32", "-n", "GANTRY-ESP"])
            .arg(&esp),
    )?;
    job.run(
        Run::new("mmd")
            .arg("-i")
            .arg(&esp)
            .args(["::/EFI", "::/EFI/BOOT"]),
    )?;
    job.run(
        Run::new("mcopy")
            .arg("-i")
            .arg(&esp)
            .arg(loader)
            .arg("::/EFI/BOOT/BOOTX64.EFI"),
    )?;
    fs::read(&esp).map_err(Error::file("read", &esp))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versions::ReleaseRecipe;

    #[test]
    fn the_laid_files_name_no_unset_version_and_find_root_by_its_guid() {
        let folder = tempfile::tempdir().unwrap();
        let references = lay_files(folder.path(), &ReleaseRecipe::NEWEST.versions().unwrap()).unwrap();
        assert_eq!(references, 2, "grub.cfg and fstab");
        let grub = fs::read_to_string(folder.path().join("boot/grub/grub.cfg")).unwrap();
        assert!(
            grub.contains(&format!(
                "linux /boot/vmlinuz root=PARTUUID={} ro",
                disk::ROOT_GUID
            )),
            "{grub}"
        );
        let fstab = fs::read_to_string(folder.path().join("etc/fstab")).unwrap();
        assert!(
            fstab.starts_with(&format!("PARTUUID={} / ext4", disk::ROOT_GUID)),
            "{fstab}"
        );
        for text in [&grub, &fstab, recipe::text("node/grub/early.cfg").unwrap()] {
            assert!(
                !text.contains("search") && !text.contains(disk::ROOT_LABEL),
                "{text}"
            );
        }
        assert!(disk::partition_table(1).contains(disk::ROOT_GUID));
        let containerd = fs::read_to_string(folder.path().join("etc/containerd/config.toml")).unwrap();
        assert!(
            containerd.contains("pause:3.10.1") && !containerd.contains('@'),
            "{containerd}"
        );
    }
}
