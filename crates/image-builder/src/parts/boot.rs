//! What the installer OS boots from: Linux, the modules it may need (decompressed: the agent hands them to the
//! kernel as they are), and iPXE for BIOS and UEFI.

use std::fs;
use std::path::Path;

use crate::command::Run;
use crate::cpio::Archive;
use crate::error::{Error, Result};
use crate::initramfs::{BOOT_FILES, compressed};
use crate::kernel_modules::{Indexes, Selection, decompressed, select};
use crate::parts::job::Job;
use crate::recipe;

/// zstd level of the modules: made once, downloaded at every installation.
const LEVEL: i32 = 19;

/// Builds the files of [`crate::BootFiles`].
pub(crate) fn build(job: &Job<'_>) -> Result<()> {
    job.step("kernel and iPXE");
    let root = job.debian_tree(&["./boot", "./usr/lib/modules", "./usr/lib/ipxe"])?;
    let modules = root.join("usr/lib/modules");
    let version = only_entry(&modules)?;
    let [kernel, archive, undionly, snponly, ipxe_efi] = BOOT_FILES;
    copy(
        &root.join(format!("boot/vmlinuz-{version}")),
        &job.out.join(kernel),
    )?;
    for (from, to) in [
        ("undionly.kpxe", undionly),
        ("snponly.efi", snponly),
        ("ipxe.efi", ipxe_efi),
    ] {
        copy(&root.join("usr/lib/ipxe").join(from), &job.out.join(to))?;
    }
    fs::write(job.out.join("kernel-version"), &version).map_err(Error::file("write", &job.out))?;

    job.step("kernel modules");
    let tree = modules.join(&version);
    let read =
        |name: &str| fs::read_to_string(tree.join(name)).map_err(Error::file("read", &tree.join(name)));
    let (dep, alias, softdep, builtin) = (
        read("modules.dep")?,
        read("modules.alias")?,
        read("modules.softdep")?,
        read("modules.builtin")?,
    );
    let indexes = Indexes {
        dep: &dep,
        alias: &alias,
        softdep: &softdep,
        builtin: &builtin,
    };
    let selection = select(recipe::text("installer/modules.list")?, &indexes)?;
    decompress(job, &tree, &selection)?;
    let target = job.out.join(archive);
    let cpio = modules_archive(&version, &tree, &selection, &builtin)?;
    let octets = compressed(&cpio, LEVEL).map_err(Error::file("compress", &target))?;
    fs::write(&target, octets).map_err(Error::file("write", &target))
}

fn only_entry(folder: &Path) -> Result<String> {
    let mut entries = fs::read_dir(folder)
        .map_err(Error::file("list", folder))?
        .flatten();
    let first = entries
        .next()
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    first
        .filter(|_| entries.next().is_none())
        .ok_or_else(|| Error::MissingInTree {
            what: "exactly one kernel".to_owned(),
            recipe: "debian/packages.list",
        })
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(|_| ()).map_err(Error::file("copy", from))
}

fn decompress(job: &Job<'_>, tree: &Path, selection: &Selection) -> Result<()> {
    let packed = selection
        .files
        .iter()
        .filter(|file| file.ends_with(".xz"))
        .map(|file| tree.join(file));
    let packed: Vec<_> = packed.collect();
    if packed.is_empty() {
        Ok(())
    } else {
        job.run(Run::new("xz").arg("--decompress").args(packed))
    }
}

fn modules_archive(version: &str, tree: &Path, selection: &Selection, builtin: &str) -> Result<Vec<u8>> {
    let folder = format!("lib/modules/{version}");
    let wrong = |error| Error::file("pack", tree)(error);
    let mut archive = Archive::new(Vec::new());
    let indexes = [
        ("dep", &selection.dep),
        ("alias", &selection.alias),
        ("softdep", &selection.softdep),
    ];
    for (name, text) in indexes {
        archive
            .file(&format!("{folder}/modules.{name}"), 0o644, text.as_bytes())
            .map_err(wrong)?;
    }
    archive
        .file(&format!("{folder}/modules.builtin"), 0o644, builtin.as_bytes())
        .map_err(wrong)?;
    for file in &selection.files {
        let name = decompressed(file);
        let octets = fs::read(tree.join(name)).map_err(Error::file("read", &tree.join(name)))?;
        archive
            .file(&format!("{folder}/{name}"), 0o644, &octets)
            .map_err(wrong)?;
    }
    archive.finish().map_err(wrong)
}
