//! A Debian below a folder, in namespaces of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;

use crate::command::done;
use crate::waiting::until;

const START: Duration = Duration::from_secs(30);
const END: Duration = Duration::from_secs(60);
/// What the unit gives the appliance.
const CAPABILITIES: &str = "-all,+net_admin,+net_bind_service,+net_raw";
/// Where the appliance's output goes, outside.
const LOG: &str = "/gantry.log";

/// The guest. Its processes and mounts go with this value.
pub(super) struct Guest {
    root: PathBuf,
    keeper: Child,
}

impl Guest {
    /// Unpacks it, and keeps namespaces for mounts, processes and network, with a network interface for machines.
    pub(super) async fn unpack(archive: &Path, root: &Path) -> anyhow::Result<Guest> {
        std::fs::create_dir(root)?;
        done(
            Command::new("tar")
                .arg("--zstd")
                .arg("-xf")
                .arg(archive)
                .arg("-C")
                .arg(root),
        )?;
        let prepare = "mount --bind \"$0\" \"$0\" && mount -t proc proc \"$0/proc\" && mount --rbind /dev \"$0/dev\" && \
                       mount -t tmpfs tmpfs \"$0/run\" && ip link set lo up && ip link add boot0 type veth peer name far && ip link set far up && \
                       ip link set boot0 up && touch \"$0/run/is-there\" && exec sleep 3600";
        let keeper = tokio::process::Command::new("unshare")
            .args([
                "--mount",
                "--net",
                "--pid",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                prepare,
            ])
            .arg(root)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let guest = Guest {
            root: root.to_owned(),
            keeper,
        };
        until("the guest's namespaces", START, || async {
            guest
                .run(&["test", "-e", "/run/is-there"])
                .map(drop)
                .map_err(|error| format!("{error:#}"))
        })
        .await?;
        Ok(guest)
    }

    /// A path of the guest, as seen from outside; mounts of the guest count.
    pub(super) fn path(&self, inside: &str) -> PathBuf {
        let first = inside.trim_start_matches('/');
        match (first.strip_prefix("run/"), self.inner()) {
            // The guest's own file system for what lives as long as it does.
            (Some(rest), Ok(process)) => {
                PathBuf::from(format!("/proc/{process}/root{}/run/{rest}", self.root.display()))
            }
            _ => self.root.join(first),
        }
    }

    /// Runs a program as root of the guest; its standard output.
    pub(super) fn run(&self, command: &[&str]) -> anyhow::Result<String> {
        done(&mut self.command(&[], command)?)
    }

    /// Runs a program that has to fail; gives what it complained of.
    pub(super) fn refused(&self, command: &[&str]) -> anyhow::Result<String> {
        let output = self.command(&[], command)?.output()?;
        ensure!(!output.status.success(), "{command:?} is not refused");
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Starts the appliance with the user, rights and environment of the unit.
    pub(super) fn serve(&self, notify: &str) -> anyhow::Result<Appliance> {
        let log = self.root.join(LOG.trim_start_matches('/'));
        let file = File::create(&log)?;
        let rights = [
            "setpriv",
            "--reuid=gantry",
            "--regid=gantry",
            "--init-groups",
            "--no-new-privs",
            &format!("--inh-caps={CAPABILITIES}"),
            &format!("--ambient-caps={CAPABILITIES}"),
            &format!("--bounding-set={CAPABILITIES}"),
            "env",
            "HOME=/var/lib/gantry",
            &format!("NOTIFY_SOCKET={notify}"),
            "WATCHDOG_USEC=1000000",
        ];
        let command = self.command(&rights, &["gantry", "serve"])?;
        let mut command = tokio::process::Command::from(command);
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        Ok(Appliance {
            child: command.kill_on_drop(true).spawn()?,
            log,
        })
    }

    /// Number of the first process inside, seen from outside.
    fn inner(&self) -> anyhow::Result<u32> {
        let outer = self.keeper.id().context("the guest has ended")?;
        let children = std::fs::read_to_string(format!("/proc/{outer}/task/{outer}/children"))?;
        let first = children
            .split_whitespace()
            .next()
            .context("the guest has not started")?;
        Ok(first.parse()?)
    }

    fn command(&self, before: &[&str], command: &[&str]) -> anyhow::Result<Command> {
        let mut entering = Command::new("nsenter");
        entering
            .args([
                "--mount",
                "--net",
                "--pid",
                "--target",
                &self.inner()?.to_string(),
                "chroot",
            ])
            .arg(&self.root)
            .args([
                "env",
                "-i",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                "LC_ALL=C.UTF-8",
                "DEBIAN_FRONTEND=noninteractive",
            ])
            .args(before)
            .args(command);
        Ok(entering)
    }
}

/// The appliance in the guest.
pub(super) struct Appliance {
    child: Child,
    log: PathBuf,
}

impl Appliance {
    /// What it printed.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends SIGTERM to `gantry serve`, which nsenter has forked.
    pub(super) fn ask_to_end(&mut self) -> anyhow::Result<()> {
        let outer = self.child.id().context("it has ended by itself")?;
        let children = std::fs::read_to_string(format!("/proc/{outer}/task/{outer}/children"))?;
        let inner: i32 = children
            .trim()
            .parse()
            .with_context(|| format!("children {children:?}"))?;
        kill(Pid::from_raw(inner), Signal::SIGTERM)?;
        Ok(())
    }

    /// Waits for its end, which has to be a clean one.
    pub(super) async fn ended(mut self) -> anyhow::Result<()> {
        let status = tokio::time::timeout(END, self.child.wait()).await;
        let status = status.context("SIGTERM does not end it")??;
        if !status.success() {
            bail!("it ended with {status}: {}", self.log());
        }
        Ok(())
    }
}
