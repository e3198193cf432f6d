//! The Debian package.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::artifacts::Release;
use super::files::CONFIGURATION;
use super::run::run;

/// Scripts of the package, in `packaging/`.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// As Debian names packages.
pub(super) fn file_name(version: &str) -> String {
    format!("gantry_{version}_amd64.deb")
}

/// Packs the staged files with control data and scripts.
pub(super) fn package(release: &Release, staged: &Path) -> anyhow::Result<PathBuf> {
    let control = staged.join("DEBIAN");
    fs::create_dir_all(&control)?;
    let text = format!(
        "Package: gantry\nVersion: {}\nArchitecture: amd64\nMaintainer: Gantry developers <developers@gantry.dev>\n\
         Section: admin\nPriority: optional\nDepends: systemd | systemd-standalone-sysusers\n\
         Description: bare-metal provisioning appliance\n \
         Turns powered-off servers and a hardware CSV into Kubernetes clusters, and keeps them:\n \
         DHCP, TFTP, iPXE, metadata, BMC control, a workflow runner and a coordinator of\n \
         clusters behind one Kubernetes API.\n",
        release.version
    );
    fs::write(control.join("control"), text)?;
    fs::write(control.join("conffiles"), format!("/{CONFIGURATION}\n"))?;
    for name in SCRIPTS {
        let to = control.join(name);
        let from = release.workspace.root.join("packaging").join(name);
        fs::copy(&from, &to).with_context(|| from.display().to_string())?;
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
    }
    let to = release.out.join(file_name(&release.version));
    run(Command::new("dpkg-deb")
        .env("SOURCE_DATE_EPOCH", &release.time)
        .args(["--root-owner-group", release.compression, "--build"])
        .arg(staged)
        .arg(&to))?;
    fs::remove_dir_all(&control)?;
    Ok(to)
}
