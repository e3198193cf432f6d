//! dnsmasq as a peer: it reads no configuration, does no DNS, and sends the files of a folder by TFTP.

use std::path::Path;
use std::process::Command;

use super::process::installed;

/// The command, to which the caller adds where it listens and what else it does. It is installed when it is missing.
pub(super) fn command(files: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(installed("/usr/sbin/dnsmasq", "dnsmasq-base")?);
    command.args([
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--port=0",
        "--user=root",
        "--bind-interfaces",
        "--pid-file",
        "--enable-tftp",
    ]);
    command.arg(format!("--tftp-root={}", files.display()));
    Ok(command)
}
