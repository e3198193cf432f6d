//! The recipe files of `images/`, inside the binary.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::{Error, Result};

macro_rules! recipe_files {
    ($($path:literal),* $(,)?) => {
        &[$(RecipeFile { path: $path, text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../images/", $path)) }),*]
    };
}

/// A file of `images/`.
#[derive(Debug)]
pub(crate) struct RecipeFile {
    /// Below `images/`.
    pub(crate) path: &'static str,
    /// Content.
    pub(crate) text: &'static str,
}

/// Every file that a recipe reads; a test compares it with the folder.
pub(crate) const FILES: &[RecipeFile] = recipe_files![
    "cilium/chart.json",
    "containers/images.json",
    "coredns/go.mod",
    "coredns/go.sum",
    "coredns/main.go",
    "debian/make.sh",
    "debian/packages.list",
    "etcd/go.mod",
    "etcd/go.sum",
    "etcd/main.go",
    "flannel/go.mod",
    "flannel/go.sum",
    "flannel/write-cni-conf.sh",
    "installer/firmware.list",
    "installer/modules.list",
    "kubernetes-1.34/go.mod",
    "kubernetes-1.34/go.sum",
    "kubernetes/go.mod",
    "kubernetes/go.sum",
    "kubernetes/main.go",
    "node/files/boot/grub/grub.cfg",
    "node/files/etc/cloud/cloud.cfg.d/90-gantry.cfg",
    "node/files/etc/containerd/config.toml",
    "node/files/etc/fstab",
    "node/files/etc/initramfs-tools/conf.d/gantry",
    "node/files/etc/initramfs-tools/hooks/storage",
    "node/files/etc/modprobe.d/gantry.conf",
    "node/files/etc/modules-load.d/kubernetes.conf",
    "node/files/etc/sysctl.d/90-kubernetes.conf",
    "node/files/usr/lib/repart.d/50-root.conf",
    "node/files/usr/lib/systemd/system/kubelet.service",
    "node/files/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf",
    "node/grub/early.cfg",
    "node/preload.sh",
    "node/setup.sh",
    "pause/pause.c",
];

/// The text of one file.
pub(crate) fn text(path: &str) -> Result<&'static str> {
    FILES
        .iter()
        .find(|file| file.path == path)
        .map(|file| file.text)
        .ok_or_else(|| Error::Recipe {
            file: path.to_owned(),
            reason: "is not in the binary".to_owned(),
        })
}

/// Files below a folder, with the folder's name taken off.
pub(crate) fn below(folder: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES
        .iter()
        .filter_map(move |file| file.path.strip_prefix(folder).map(|path| (path, file.text)))
}

/// Writes a recipe file into `folder` and says where; scripts become executable.
pub(crate) fn unpack(path: &str, folder: &Path) -> Result<std::path::PathBuf> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let target = folder.join(name);
    write(&target, text(path)?, is_script(path))?;
    Ok(target)
}

/// Whether the file is run.
pub(crate) fn is_script(path: &str) -> bool {
    text(path).is_ok_and(|text| text.starts_with("#!"))
}

/// Writes a text with mode 0755 or 0644, making the folders above.
pub(crate) fn write(target: &Path, text: &str, executable: bool) -> Result<()> {
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    }
    fs::write(target, text).map_err(Error::file("write", target))?;
    let mode = if executable { 0o755 } else { 0o644 };
    fs::set_permissions(target, fs::Permissions::from_mode(mode))
        .map_err(Error::file("set the mode of", target))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::Part;
    use crate::versions::ReleaseRecipe;

    fn walk(folder: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }

    #[test]
    fn every_recipe_file_is_in_the_binary() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../images");
        let mut found = Vec::new();
        walk(&root, &root, &mut found);
        found.retain(|path| !path.starts_with("release") && !path.ends_with(".md"));
        found.sort();
        assert_eq!(
            found,
            FILES.iter().map(|file| file.path.to_owned()).collect::<Vec<_>>()
        );
    }

    #[test]
    fn every_recipe_file_belongs_to_a_part() {
        for file in FILES {
            let owns = |release: &ReleaseRecipe, part: Part| {
                let mut sources = release.sources(part).iter();
                sources.any(|source| file.path.starts_with(source))
            };
            let mut all = ReleaseRecipe::ALL.iter();
            let owned = all.any(|release| Part::ALL.into_iter().any(|part| owns(release, part)));
            assert!(owned, "{} changes no digest", file.path);
        }
    }
}
