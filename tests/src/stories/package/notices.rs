//! The socket that systemd would listen on (`sd_notify(3)`).

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::UnixDatagram;

const PATIENCE: Duration = Duration::from_secs(120);

/// An open socket.
pub(super) struct Notices(UnixDatagram);

impl Notices {
    /// Opens it for everybody, as systemd does.
    pub(super) fn open(path: &Path) -> anyhow::Result<Notices> {
        let _ = std::fs::remove_file(path);
        let socket = UnixDatagram::bind(path).with_context(|| path.display().to_string())?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))?;
        Ok(Notices(socket))
    }

    /// Waits for a message with this line.
    pub(super) async fn wait_for(&self, line: &str) -> anyhow::Result<()> {
        let mut octets = [0; 4096];
        let come = async {
            loop {
                let size = self.0.recv(&mut octets).await?;
                let text = String::from_utf8_lossy(octets.get(..size).unwrap_or_default());
                if text.lines().any(|known| known == line) {
                    return anyhow::Ok(());
                }
            }
        };
        match tokio::time::timeout(PATIENCE, come).await {
            Ok(result) => result,
            Err(_) => bail!("the service manager is not told {line}"),
        }
    }
}
