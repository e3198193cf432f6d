//! The installer's initramfs: the modules archive of the boot part, then a small one with the agent as `/init`.
//!
//! Linux unpacks concatenated archives one after the other, each compressed or not, so a new agent does not
//! cost compressing the modules again, and the appliance appends the site CA when it serves.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cache::Cache;
use crate::cpio::Archive;
use crate::digest;
use crate::error::{Error, Result};
use crate::part::Part;
use crate::versions::ReleaseRecipe;

/// zstd level of the agent's archive: it is made on each start after an upgrade, so quickly.
const AGENT_LEVEL: i32 = 9;

/// The files of the boot part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootFiles {
    /// Linux.
    pub kernel: PathBuf,
    /// Modules with their indexes, a cpio archive compressed by zstd.
    pub modules: PathBuf,
    /// iPXE for BIOS that uses the firmware's network driver.
    pub undionly: PathBuf,
    /// iPXE for UEFI that uses the firmware's network driver.
    pub snponly: PathBuf,
    /// iPXE for UEFI with drivers of its own.
    pub ipxe_efi: PathBuf,
}

/// File names of the boot part, in the order of [`BootFiles`].
pub(crate) const BOOT_FILES: [&str; 5] = [
    "vmlinuz",
    "modules.cpio.zst",
    "undionly.kpxe",
    "snponly.efi",
    "ipxe.efi",
];

impl BootFiles {
    /// The boot part in the cache, which is the same for all releases; `None` until it is built.
    ///
    /// # Errors
    /// If the cache cannot be read.
    pub fn in_cache(cache_dir: &Path) -> Result<Option<Self>> {
        let cache = Cache::new(cache_dir);
        let Some(&digest) = digest::digests(ReleaseRecipe::NEWEST).get(&Part::Boot) else {
            return Ok(None);
        };
        Ok(cache.find(digest)?.map(|_| Self::below(&cache.path(digest))))
    }

    /// Those in a folder, under the names that the boot part has; `None` when one is missing.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Option<Self> {
        let boot = Self::below(folder);
        boot.files().iter().all(|file| file.is_file()).then_some(boot)
    }

    /// The files, in the order of the fields.
    #[must_use]
    pub fn files(&self) -> [&Path; 5] {
        [
            &self.kernel,
            &self.modules,
            &self.undionly,
            &self.snponly,
            &self.ipxe_efi,
        ]
    }

    fn below(folder: &Path) -> Self {
        let [kernel, modules, undionly, snponly, ipxe_efi] = BOOT_FILES.map(|name| folder.join(name));
        Self {
            kernel,
            modules,
            undionly,
            snponly,
            ipxe_efi,
        }
    }
}

/// Writes the initramfs that runs `agent_binary` (a static program) as `/init`. `out` appears at once, complete.
///
/// # Errors
/// If a file cannot be read or written.
pub fn build_initramfs(boot: &BootFiles, agent_binary: &Path, out: &Path) -> Result<()> {
    let agent = fs::read(agent_binary).map_err(Error::file("read", agent_binary))?;
    let modules = fs::read(&boot.modules).map_err(Error::file("read", &boot.modules))?;
    let making = out.with_extension("making");
    let write =
        |octets: &[u8], file: &mut fs::File| file.write_all(octets).map_err(Error::file("write", &making));
    let mut file = fs::File::create(&making).map_err(Error::file("create", &making))?;
    write(&modules, &mut file)?;
    write(
        &agent_archive(&agent).map_err(Error::file("write", &making))?,
        &mut file,
    )?;
    file.sync_all().map_err(Error::file("write", &making))?;
    fs::rename(&making, out).map_err(Error::file("rename", &making))
}

fn agent_archive(agent: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut archive = Archive::new(Vec::new());
    for folder in ["dev", "etc", "proc", "run", "sys", "tmp", "mnt"] {
        archive.directory(folder)?;
    }
    archive.character_device("dev/console", 0o600, (5, 1))?;
    archive.character_device("dev/null", 0o666, (1, 3))?;
    archive.file("init", 0o755, agent)?;
    compressed(&archive.finish()?, AGENT_LEVEL)
}

/// One zstd frame, padded so that an uncompressed archive may follow.
pub(crate) fn compressed(archive: &[u8], level: i32) -> std::io::Result<Vec<u8>> {
    let mut frame = zstd::bulk::compress(archive, level)?;
    frame.resize(frame.len().next_multiple_of(4), 0);
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_follows_the_modules() {
        let folder = tempfile::tempdir().unwrap();
        let boot = BootFiles::below(folder.path());
        let modules = compressed(&Archive::new(Vec::new()).finish().unwrap(), 1).unwrap();
        fs::write(&boot.modules, &modules).unwrap();
        let agent = folder.path().join("agent");
        fs::write(&agent, "static program").unwrap();
        let out = folder.path().join("initramfs");
        build_initramfs(&boot, &agent, &out).unwrap();
        let octets = fs::read(&out).unwrap();
        assert!(octets.starts_with(&modules));
        assert_eq!(octets.len() % 4, 0);
        let mut plain = Vec::new();
        let frame = zstd::stream::Decoder::new(&octets[modules.len()..])
            .unwrap()
            .single_frame();
        std::io::Read::read_to_end(&mut { frame }, &mut plain).unwrap();
        let text = String::from_utf8_lossy(&plain);
        assert!(text.contains("init\0") && text.contains("static program") && text.contains("dev/console\0"));
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            3,
            "nothing half-written stays"
        );
    }
}
