//! The parts folder: what `gantry image export` made of the image cache, readable by the appliance's user.
//!
//! `boot/` holds kernel, initramfs and iPXE binaries, `images/` node images with their manifests, `release.json` the
//! built-in Release object. The appliance only reads it.

use std::path::{Path, PathBuf};

use resources::gantry::Release;

use crate::error::Error;

/// A checked parts folder.
#[derive(Debug, Clone)]
pub struct Parts {
    folder: PathBuf,
    release: Option<Release>,
}

impl Parts {
    /// Folder of the boot files, inside.
    pub const BOOT: &'static str = "boot";
    /// Folder of the node images, inside.
    pub const IMAGES: &'static str = "images";
    /// File with the Release object.
    pub const RELEASE: &'static str = "release.json";

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
        let path = folder.join(Self::RELEASE);
        let release = match std::fs::read(&path) {
            Ok(text) => Some(
                serde_json::from_slice(&text)
                    .map_err(|error| refused(format!("{}: {error}", path.display())))?,
            ),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(refused(format!("{}: {error}", path.display()))),
        };
        Ok(Parts {
            folder: folder.to_owned(),
            release,
        })
    }

    /// Where the boot files lie.
    pub fn boot(&self) -> PathBuf {
        self.folder.join(Self::BOOT)
    }

    /// The built-in release, when its node image was exported.
    pub fn release(&self) -> Option<&Release> {
        self.release.as_ref()
    }
}

#[cfg(test)]
mod tests {
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
    fn the_release_is_optional() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("boot")).unwrap();
        for name in [boot_script::KERNEL_FILE, boot_script::INITRAMFS_FILE] {
            std::fs::write(folder.path().join("boot").join(name), "x").unwrap();
        }
        assert!(Parts::open(folder.path()).unwrap().release().is_none());
    }
}
