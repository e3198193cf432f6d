//! Story `package`: the Debian package in a Debian that has nothing else of Gantry: installed, its unit checked by systemd, a
//! bundle imported that a key signed, the appliance started as the unit starts it, the package upgraded with the configuration kept,
//! removed and purged with keys and data kept.

mod guest;
mod notices;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use super::Options;
use crate::command::done;
use crate::end::End;
use crate::namespace;
use crate::server::program;
use guest::Guest;
use notices::Notices;

/// Set by `cargo xtask`: the package that was made before.
const PACKAGE: &str = "GANTRY_PACKAGE";
/// Where the package has things.
const CONFIGURATION: &str = "/etc/gantry/gantry.yaml";
const KEYS: &str = "/etc/gantry/keys";
const DATA: &str = "/var/lib/gantry";
const UNIT: &str = "/usr/lib/systemd/system/gantry.service";
/// Most that `systemd-analyze security` may say of the unit, in tenths of its scale from 0 (safe) to 10.
const EXPOSURE: &str = "25";
/// In the file that the package brings.
const SETTINGS: &str = "interface: boot0\naddress: 192.0.2.2\n";

pub(crate) async fn run(_: Options) -> anyhow::Result<End> {
    let tools = [
        "unshare", "nsenter", "chroot", "zstd", "tar", "dpkg-deb", "minisign",
    ];
    if let Some(what) = namespace::missing(&tools) {
        return Ok(End::Skipped(what));
    }
    let Some(package) = std::env::var_os(PACKAGE).map(PathBuf::from) else {
        return Ok(End::Skipped(format!("{PACKAGE}, which cargo xtask sets")));
    };
    let Some(debian) = built("debian")? else {
        return Ok(End::Skipped("the part debian: gantry image build".to_owned()));
    };
    let scratch = tempfile::Builder::new().prefix("gantry-story-").tempdir()?;
    let guest = Guest::unpack(&debian.join("root.tar.zst"), &scratch.path().join("root")).await?;
    installed(&guest, &package)?;
    unit_is_tight(&guest)?;
    let site = imported_and_started(&guest, scratch.path()).await?;
    upgraded(&guest, &package, scratch.path(), &site).await?;
    removed(&guest)?;
    Ok(End::Passed)
}

/// Folder of a part of the image cache.
fn built(part: &str) -> anyhow::Result<Option<PathBuf>> {
    let list = done(Command::new(program()?).args(["image", "list", "-o", "json"]))?;
    let list: Vec<serde_json::Value> = serde_json::from_str(&list)?;
    let found = list.iter().find(|known| known["name"] == part);
    let path = found.and_then(|known| known["built"]["path"].as_str());
    Ok(path.map(PathBuf::from))
}

fn installed(guest: &Guest, package: &Path) -> anyhow::Result<()> {
    std::fs::copy(package, guest.path("/gantry.deb"))?;
    print!("{}", guest.run(&["dpkg", "-i", "/gantry.deb"])?);
    for folder in [DATA, KEYS] {
        let said = guest.run(&["stat", "-c", "%U:%G %a", folder])?;
        ensure!(said.trim() == "gantry:gantry 700", "{folder}: {said}");
    }
    let version = guest.run(&["gantry", "version"])?;
    ensure!(version.contains("gantry"), "{version}");
    // Of a Debian for containers, dpkg unpacks no man pages.
    let files = guest.run(&["dpkg", "-L", "gantry"])?;
    for page in ["gantry.1.gz", "gantry-serve.1.gz"] {
        ensure!(
            files.contains(&format!("/usr/share/man/man1/{page}\n")),
            "{page} is not in the package"
        );
    }
    let again = guest.run(&["dpkg", "-i", "/gantry.deb"])?;
    ensure!(
        !again.contains("Next:"),
        "advice for a first installation: {again}"
    );
    Ok(())
}

fn unit_is_tight(guest: &Guest) -> anyhow::Result<()> {
    guest.run(&["systemd-analyze", "verify", "--man=no", UNIT])?;
    let threshold = format!("--threshold={EXPOSURE}");
    let said = guest.run(&["systemd-analyze", "security", "--offline=true", &threshold, UNIT])?;
    let last = said.lines().rev().find(|line| line.contains("Overall exposure"));
    println!("{}", last.unwrap_or_default().trim());
    Ok(())
}

/// What the upgrade must leave alone: the certificate of the site's authority.
type Site = Vec<u8>;

async fn imported_and_started(guest: &Guest, scratch: &Path) -> anyhow::Result<Site> {
    let bundle = guest.path("/bundle");
    done(Command::new(program()?).args(["image", "export"]).arg(&bundle))?;
    std::fs::remove_file(bundle.join("boot/initramfs"))?;
    let (public, secret) = (guest.path("/maker.pub"), scratch.join("maker.key"));
    done(
        Command::new("minisign")
            .args(["-G", "-W", "-f", "-p"])
            .arg(&public)
            .arg("-s")
            .arg(&secret),
    )?;
    let import = [
        "gantry",
        "image",
        "import",
        "/bundle",
        "--key",
        "/maker.pub",
        "--kubernetes",
        "1.35",
    ];
    let refused = guest.refused(&import)?;
    ensure!(refused.contains("index.json.minisig"), "{refused}");
    let index = bundle.join("index.json");
    done(
        Command::new("minisign")
            .args(["-S", "-W", "-s"])
            .arg(&secret)
            .arg("-m")
            .arg(&index),
    )?;
    print!("{}", guest.run(&import)?);
    let again = guest.run(&import)?;
    ensure!(again.contains(" 0 files imported"), "{again}");
    std::fs::remove_dir_all(&bundle)?;
    let initramfs = format!("{DATA}/parts/boot/initramfs");
    let owner = guest.run(&["stat", "-c", "%U", &initramfs])?;
    ensure!(owner.trim() == "gantry", "{initramfs} belongs to {owner}");

    let text = std::fs::read_to_string(guest.path(CONFIGURATION))?;
    std::fs::write(guest.path(CONFIGURATION), format!("{text}\n{SETTINGS}"))?;
    served(guest).await?;
    std::fs::read(guest.path(KEYS).join("site-ca.pem")).context("certificate of the site")
}

/// Starts the appliance as the unit does and ends it; systemd would have been told all the time.
async fn served(guest: &Guest) -> anyhow::Result<()> {
    let notices = Notices::open(&guest.path("/run/notify"))?;
    let mut appliance = guest.serve("/run/notify")?;
    notices
        .wait_for("READY=1")
        .await
        .with_context(|| appliance.log())?;
    for _ in 0..3 {
        notices.wait_for("WATCHDOG=1").await?;
    }
    let releases = guest.run(&[
        "gantry",
        "get",
        "releases",
        "--kubeconfig",
        "/var/lib/gantry/admin.kubeconfig",
    ])?;
    ensure!(releases.contains("kubernetes-1.35"), "{releases}");
    let log = appliance.log();
    ensure!(log.contains("192.0.2.2:7080"), "no boot service: {log}");
    appliance.ask_to_end()?;
    notices.wait_for("STOPPING=1").await?;
    appliance.ended().await
}

async fn upgraded(guest: &Guest, package: &Path, scratch: &Path, site: &Site) -> anyhow::Result<()> {
    let next = scratch.join("next");
    done(Command::new("dpkg-deb").arg("-R").arg(package).arg(&next))?;
    let control = next.join("DEBIAN/control");
    let text = std::fs::read_to_string(&control)?;
    let version = text.lines().find(|line| line.starts_with("Version: "));
    let version = version.context("a package without a version")?;
    std::fs::write(&control, text.replace(version, &format!("{version}+next")))?;
    done(
        Command::new("dpkg-deb")
            .args(["--root-owner-group", "-Znone", "-b"])
            .arg(&next)
            .arg(guest.path("/next.deb")),
    )?;
    guest.run(&["dpkg", "-i", "/next.deb"])?;
    let text = std::fs::read_to_string(guest.path(CONFIGURATION))?;
    ensure!(text.ends_with(SETTINGS), "the configuration was replaced");
    served(guest).await?;
    let after = std::fs::read(guest.path(KEYS).join("site-ca.pem"))?;
    ensure!(after == *site, "the upgrade has made another authority");
    Ok(())
}

fn removed(guest: &Guest) -> anyhow::Result<()> {
    guest.run(&["dpkg", "-r", "gantry"])?;
    ensure!(
        !guest.path("/usr/bin/gantry").exists(),
        "the program is still there"
    );
    ensure!(
        guest.path(CONFIGURATION).exists(),
        "removal takes the configuration"
    );
    let said = guest.run(&["dpkg", "-P", "gantry"])?;
    print!("{said}");
    for folder in [DATA, KEYS] {
        ensure!(said.contains(&format!("{folder} is kept")), "{said}");
        ensure!(
            guest.path(folder).read_dir()?.next().is_some(),
            "{folder} is empty"
        );
    }
    ensure!(
        !guest.path(CONFIGURATION).exists(),
        "purging leaves the configuration"
    );
    Ok(())
}
