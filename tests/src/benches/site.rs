//! The appliance as benchmarks start it: in the server's namespace, with every boot service on and its data on disk.
//!
//! Its address is on the interface already, as with the peers: an address that it has to add is first looked for on the
//! network for 750 ms, which is no work of the appliance. Boot files have the size of real ones and random content, so
//! that no benchmark needs the images to be built.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use tempfile::TempDir;

use super::boot_files::BOOT_FILES;
use super::cable::{Cable, SERVER, SERVER_LINK};
use super::leftovers;
use super::probes::{self, Asking};
use super::process::Process;
use crate::command::done;
use crate::server::{client, program};

/// Port of HTTP.
pub(super) const HTTP: u16 = 7080;

/// What the appliance boots machines with: a folder for `gantry serve --parts`.
#[derive(Debug)]
pub(super) struct Parts(TempDir);

impl Parts {
    /// Makes them, with further boot files.
    pub(super) fn with(further: &[(&str, usize)]) -> anyhow::Result<Parts> {
        let parts = Parts(leftovers::folder()?);
        std::fs::create_dir(parts.boot())?;
        for (name, size) in BOOT_FILES.iter().chain(further) {
            std::fs::write(parts.boot().join(name), content(name, *size))?;
        }
        Ok(parts)
    }

    /// Where the boot files are.
    pub(super) fn boot(&self) -> PathBuf {
        self.0.path().join("boot")
    }
}

/// Bytes that nothing compresses and that are others for each file.
pub(super) fn content(name: &str, size: usize) -> Vec<u8> {
    // xorshift64 (Marsaglia 2003).
    let mut state = name.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |state, byte| {
        state.rotate_left(8) ^ u64::from(byte)
    });
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// Data, keys and log of an appliance, empty at first; gone with the value.
#[derive(Debug)]
pub(super) struct Site(TempDir);

impl Site {
    pub(super) fn new() -> anyhow::Result<Site> {
        Ok(Site(leftovers::folder()?))
    }

    /// Starts the appliance and waits until its API answers.
    pub(super) fn start(&self, cable: &Cable, parts: &Parts, flags: &[&str]) -> anyhow::Result<Process> {
        let ready = self.api(cable, async |_| Ok(()));
        let server = self.serve(cable, parts, flags)?;
        self.shown(ready.since(server.began))?;
        Ok(server)
    }

    /// Starts the appliance.
    pub(super) fn serve(&self, cable: &Cable, parts: &Parts, flags: &[&str]) -> anyhow::Result<Process> {
        let mut command = Command::new(program()?);
        command.arg("serve");
        for (flag, path) in [
            ("--data", self.0.path().join("data")),
            ("--key-dir", self.0.path().join("keys")),
            ("--parts", parts.0.path().to_owned()),
        ] {
            command.arg(flag).arg(path);
        }
        let address = SERVER.to_string();
        command.args(["--interface", SERVER_LINK, "--address", &address]);
        command.args(["--http-port", &HTTP.to_string()]).args(flags);
        command.env_remove("GANTRY_CONFIG");
        Process::start(&cable.server, command, &self.0.path().join("log"))
    }

    /// Asks for the API, from before it is there, and does something once it answers (which is not counted).
    pub(super) fn api(
        &self,
        cable: &Cable,
        then: impl AsyncFn(kube::Client) -> anyhow::Result<()> + Send + 'static,
    ) -> Asking {
        let kubeconfig = self.kubeconfig();
        let connect = async move || client(&kubeconfig).await;
        probes::api(&cable.server, connect, then)
    }

    /// The admin's kubeconfig.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.0.path().join("data/admin.kubeconfig")
    }

    /// Runs a command of the user beside the appliance: the seconds that it took and what it printed.
    pub(super) fn gantry(&self, cable: &Cable, arguments: &[&str]) -> anyhow::Result<(f64, String)> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &cable.server]).arg(program()?);
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(arguments);
        let began = Instant::now();
        let said = done(&mut command)?;
        Ok((began.elapsed().as_secs_f64(), said))
    }

    /// Imports a hardware file: as [`Site::gantry`].
    pub(super) fn import(&self, cable: &Cable, csv: &str) -> anyhow::Result<(f64, String)> {
        let file = self.0.path().join("hardware.csv");
        if std::fs::read_to_string(&file).ok().as_deref() != Some(csv) {
            std::fs::write(&file, csv)?;
        }
        self.gantry(cable, &["apply", "hardware", "-z", &file.display().to_string()])
    }

    /// A result whose failure shows what the appliance logged.
    pub(super) fn shown<T>(&self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        result.map_err(|error| {
            error.context(std::fs::read_to_string(self.0.path().join("log")).unwrap_or_default())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::content;

    #[test]
    fn files_differ() {
        let (one, other) = (content("one", 1000), content("other", 1000));
        assert_eq!((one.len(), &one), (1000, &content("one", 1000)));
        assert_ne!(one, other);
    }
}
