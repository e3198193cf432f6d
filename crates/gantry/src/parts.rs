//! The parts folder of an appliance: filled from the image cache, or from a bundle, and completed with this program's agent.

mod agent;
mod export;
mod import;

use std::path::Path;

use anyhow::{Context, bail};
use appliance::Parts;
use image_builder::BootFiles;

pub(crate) use agent::Agent;
pub(crate) use export::{export, planned_releases};
pub(crate) use import::{Trust, Wanted, import};

/// Builds the installer from the folder's boot files and this agent, and names the programs that are one with another.
/// An appliance that was upgraded has another agent, so this happens at each start.
pub(crate) fn complete(folder: &Path, agent: &Agent) -> anyhow::Result<()> {
    let boot = folder.join(Parts::BOOT);
    let Some(files) = BootFiles::in_folder(&boot) else {
        bail!(
            "there are no boot files in {}; fetch a bundle with `gantry image import`, or build them with `gantry image build`",
            boot.display()
        );
    };
    image_builder::build_initramfs(&files, agent.path(), &boot.join("initramfs"))?;
    let programs = folder.join(Parts::PROGRAMS);
    if programs.join("etcd").is_file() {
        let link = programs.join("etcdutl");
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink("etcd", &link).with_context(|| link.display().to_string())?;
    }
    Ok(())
}
