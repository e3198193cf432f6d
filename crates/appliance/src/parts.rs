//! The parts folder: what `gantry image export` made of the image cache, readable by the appliance's user.
//!
//! `boot/` holds kernel, initramfs and iPXE binaries, `bin/` programs, `charts/` Helm charts, `images/` node images with their manifests, `release*.json`
//! the built-in Release objects. The appliance only reads it.

use std::path::{Path, PathBuf};

use resources::gantry::Release;

use crate::error::Error;

/// A checked parts folder.
#[derive(Debug, Clone)]
pub struct Parts {
    folder: PathBuf,
    releases: Vec<Release>,
}

impl Parts {
    /// Folder of the boot files, inside.
    pub const BOOT: &'static str = "boot";
    /// Folder of the node images, inside.
    pub const IMAGES: &'static str = "images";
    /// Folder of programs, inside: kubectl for people; etcd and etcdutl for drills.
    pub const PROGRAMS: &'static str = "bin";
    /// Folder of Helm charts, inside.
    pub const CHARTS: &'static str = "charts";
    /// Beginning of the names of the files with Release objects.
    const RELEASE: &'static str = "release";
    /// File with the Release object of the newest version.
    pub const NEWEST_RELEASE: &'static str = "release.json";

    /// File with the Release object of another minor version, such as `1.34`.
    pub fn release_file(minor: &str) -> String {
        format!("{}-{minor}.json", Self::RELEASE)
    }

    /// Opens a folder; without boot files it is refused, because no machine could boot.
    pub fn open(folder: &Path) -> Result<Parts, Error> {
        let refused = |reason: String| Error::Parts {
            path: folder.to_owned(),
            reason,
        };
        let boot = folder.join(Self::BOOT);
        for name in [boot_script::KERNEL_FILE, boot_script::INITRAMFS_FILE] {
            let path = boot.join(name);
            std::fs::File::open(&path).map_err(|error| refused(format!("{}: {error}", path.display())))?;
        }
        let mut releases = Vec::new();
        let entries = std::fs::read_dir(folder).map_err(|error| refused(error.to_string()))?;
        for entry in entries {
            let path = entry.map_err(|error| refused(error.to_string()))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !(name.starts_with(Self::RELEASE) && name.ends_with(".json")) {
                continue;
            }
            let wrong = |error: &dyn std::fmt::Display| refused(format!("{}: {error}", path.display()));
            let text = std::fs::read(&path).map_err(|error| wrong(&error))?;
            releases.push(serde_json::from_slice(&text).map_err(|error| wrong(&error))?);
        }
        Ok(Parts {
            folder: folder.to_owned(),
            releases,
        })
    }

    /// Where the boot files lie.
    pub fn boot(&self) -> PathBuf {
        self.folder.join(Self::BOOT)
    }

    /// Where Helm charts lie.
    pub fn charts(&self) -> PathBuf {
        self.folder.join(Self::CHARTS)
    }

    /// Where programs for people and for drills lie.
    pub fn programs(&self) -> PathBuf {
        self.folder.join(Self::PROGRAMS)
    }

    /// The built-in releases whose node images were exported.
    pub fn releases(&self) -> &[Release] {
        &self.releases
    }
}

#[cfg(test)]
mod tests {
    use resources::gantry::ReleaseSpec;

    use super::*;

    #[test]
    fn a_folder_without_a_kernel_is_refused_with_the_command_that_makes_one() {
        let folder = tempfile::tempdir().unwrap();
        let text = Parts::open(folder.path()).unwrap_err().to_string();
        assert!(
            text.contains("vmlinuz") && text.contains("gantry image export"),
            "{text}"
        );
    }

    #[test]
    fn releases_are_optional_and_there_may_be_several() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("boot")).unwrap();
        for name in [boot_script::KERNEL_FILE, boot_script::INITRAMFS_FILE] {
            std::fs::write(folder.path().join("boot").join(name), "x").unwrap();
        }
        assert!(Parts::open(folder.path()).unwrap().releases().is_empty());
        for (name, version) in [
            (Parts::NEWEST_RELEASE.to_owned(), "1.35"),
            (Parts::release_file("1.34"), "1.34"),
        ] {
            let spec = ReleaseSpec {
                kubernetes_version: version.to_owned(),
                patch_version: format!("v{version}.4"),
                components: Vec::new(),
                node_images: Vec::new(),
                charts: Vec::new(),
            };
            let release = serde_json::to_vec(&Release::new(version, spec)).unwrap();
            std::fs::write(folder.path().join(name), release).unwrap();
        }
        let parts = Parts::open(folder.path()).unwrap();
        let mut found: Vec<_> = parts
            .releases()
            .iter()
            .map(|known| &*known.spec.kubernetes_version)
            .collect();
        found.sort_unstable();
        assert_eq!(found, ["1.34", "1.35"]);
        std::fs::write(folder.path().join(Parts::release_file("1.33")), "no JSON").unwrap();
        let text = Parts::open(folder.path()).unwrap_err().to_string();
        assert!(text.contains("release-1.33.json"), "{text}");
    }
}
