//! The files of an installation, below a folder as they lie below `/`, and the tarball of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::artifacts::Release;
use super::run::{output, run};

/// Where systemd finds units of packages.
const UNIT: &str = "usr/lib/systemd/system/gantry.service";
const USER: &str = "usr/lib/sysusers.d/gantry.conf";
const DOCUMENTS: &str = "usr/share/doc/gantry";
const MAN: &str = "usr/share/man/man1";
/// The configuration, with every setting and its default.
pub(super) const CONFIGURATION: &str = "etc/gantry/gantry.yaml";
/// Shells and where they look for completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/gantry"),
    ("zsh", "usr/share/zsh/vendor-completions/_gantry"),
    ("fish", "usr/share/fish/vendor_completions.d/gantry.fish"),
];

/// Lays the files out; gives the folder.
pub(super) fn stage(release: &Release) -> anyhow::Result<PathBuf> {
    let folder = release.out.join("staged");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let root = &release.workspace.root;
    let gantry = |arguments: &[&str]| output(Command::new(&release.gantry).args(arguments));
    put(&folder, "usr/bin/gantry", &fs::read(&release.gantry)?, 0o755)?;
    put(
        &folder,
        UNIT,
        &fs::read(root.join("packaging/gantry.service"))?,
        0o644,
    )?;
    put(
        &folder,
        USER,
        &fs::read(root.join("packaging/sysusers.conf"))?,
        0o644,
    )?;
    let example = gantry(&["config", "example"])? + "\n";
    put(&folder, CONFIGURATION, example.as_bytes(), 0o644)?;
    for (shell, path) in COMPLETIONS {
        let script = gantry(&["completion", shell])? + "\n";
        put(&folder, path, script.as_bytes(), 0o644)?;
    }
    let man = folder.join(MAN);
    fs::create_dir_all(&man)?;
    run(Command::new(&release.gantry).arg("man").arg(&man))?;
    for page in fs::read_dir(&man)? {
        run(Command::new("gzip").args(["-n", "-9"]).arg(page?.path()))?;
    }
    for name in ["README.md", "hardware.csv.example"] {
        put(
            &folder,
            &format!("{DOCUMENTS}/{name}"),
            &fs::read(root.join(name))?,
            0o644,
        )?;
    }
    put(
        &folder,
        &format!("{DOCUMENTS}/copyright"),
        &fs::read(root.join("LICENSE"))?,
        0o644,
    )?;
    for page in fs::read_dir(root.join("docs"))? {
        let page = page?.path();
        let name = page
            .file_name()
            .context("page without a name")?
            .to_string_lossy()
            .into_owned();
        put(&folder, &format!("{DOCUMENTS}/{name}"), &fs::read(&page)?, 0o644)?;
    }
    Ok(folder)
}

fn put(folder: &Path, path: &str, octets: &[u8], mode: u32) -> anyhow::Result<()> {
    let file = folder.join(path);
    let above = file.parent().context("a path without a folder")?;
    fs::create_dir_all(above)?;
    fs::write(&file, octets).with_context(|| file.display().to_string())?;
    fs::set_permissions(&file, fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// The tarball, to be unpacked in `/` or anywhere.
pub(super) fn tarball(release: &Release, staged: &Path) -> anyhow::Result<PathBuf> {
    let to = release.artifact("-linux-amd64.tar.zst");
    run(archive(release, staged).args(["--zstd", "-cf"]).arg(&to).arg("."))?;
    Ok(to)
}

/// `tar` of a folder, with one order, owner and time.
pub(super) fn archive(release: &Release, folder: &Path) -> Command {
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
        .arg(format!("--mtime=@{}", release.time))
        .arg("-C")
        .arg(folder);
    tar
}
