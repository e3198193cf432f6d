//! Network namespaces for stories: one of the story's own, and one for a client at the other end of a cable.

use std::fs::File;
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::ensure;
use nix::sched::{CloneFlags, setns};
use nix::unistd::Uid;

use crate::command::done;
use crate::waiting::until;

/// Set in the story that runs in a namespace of its own.
const OWN: &str = "GANTRY_STORY_NAMESPACE";
/// The appliance's end of the cable.
pub(crate) const SERVER_LINK: &str = "server";
/// The client's end of the cable.
pub(crate) const CLIENT_LINK: &str = "client";
const PATIENCE: Duration = Duration::from_secs(20);

/// What is needed and not there.
pub(crate) fn missing(tools: &[&str]) -> Option<String> {
    if !Uid::effective().is_root() {
        return Some("root, for network namespaces".to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let present = |tool: &str| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    let lacks: Vec<&str> = tools.iter().copied().filter(|tool| !present(tool)).collect();
    (!lacks.is_empty()).then(|| format!("{} (hack/needs installs them)", lacks.join(", ")))
}

/// Whether this process is the one that [`again_in_own`] started.
pub(crate) fn is_own() -> bool {
    std::env::var_os(OWN).is_some()
}

/// Runs the story again in a network namespace that goes with it.
pub(crate) async fn again_in_own(story: &str) -> anyhow::Result<()> {
    let status = tokio::process::Command::new("unshare")
        .arg("--net")
        .arg(std::env::current_exe()?)
        .args(["story", story])
        .env(OWN, "1")
        .kill_on_drop(true)
        .status()
        .await?;
    ensure!(status.success(), "it failed in its namespace: {status}");
    Ok(())
}

/// A namespace at the other end of a cable. It goes with this value.
pub(crate) struct ClientNamespace(Child);

impl ClientNamespace {
    /// Makes the cable; `address` is that of our end, `mac` that of the other.
    pub(crate) async fn connected(address: &str, mac: &str) -> anyhow::Result<ClientNamespace> {
        ensure!(is_own(), "only in a namespace of one's own");
        let keeper = Command::new("unshare")
            .args(["--net", "sleep", "3600"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let client = ClientNamespace(keeper);
        let ours = std::fs::read_link("/proc/self/ns/net")?;
        let theirs = format!("/proc/{}/ns/net", client.0.id());
        until("the client's namespace", PATIENCE, || async {
            match std::fs::read_link(&theirs) {
                Ok(link) if link != ours => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await?;
        let process = client.0.id().to_string();
        ip(&["link", "set", "lo", "up"])?;
        ip(&[
            "link",
            "add",
            SERVER_LINK,
            "type",
            "veth",
            "peer",
            "name",
            CLIENT_LINK,
        ])?;
        ip(&["address", "add", address, "dev", SERVER_LINK])?;
        ip(&["link", "set", CLIENT_LINK, "netns", &process])?;
        client.run(&["ip", "link", "set", CLIENT_LINK, "address", mac])?;
        client.run(&["ip", "link", "set", CLIENT_LINK, "up"])?;
        ip(&["link", "set", SERVER_LINK, "up"])?;
        Ok(client)
    }

    /// The client's end of the cable.
    pub(crate) fn link(&self) -> &'static str {
        CLIENT_LINK
    }

    /// Gives the other end one more address in the network of ours; the first one is what it speaks from.
    pub(crate) fn add_address(&self, address: Ipv4Addr) -> anyhow::Result<()> {
        self.run(&[
            "ip",
            "address",
            "add",
            &format!("{address}/24"),
            "dev",
            CLIENT_LINK,
        ])
    }

    /// The namespace, for a thread of one's own.
    pub(crate) fn file(&self) -> anyhow::Result<NamespaceFile> {
        let path = format!("/proc/{}/ns/net", self.0.id());
        Ok(NamespaceFile(File::open(path)?))
    }

    /// Does something in the namespace, on a thread that ends with it; programs that it starts are there as well.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        let namespace = self.file()?;
        let done = std::thread::scope(|scope| {
            let thread = scope.spawn(|| namespace.enter().map(|()| work()));
            thread.join()
        });
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Runs a command there.
    pub(crate) fn run(&self, command: &[&str]) -> anyhow::Result<()> {
        let namespace = format!("--net=/proc/{}/ns/net", self.0.id());
        done(Command::new("nsenter").arg(namespace).args(command)).map(drop)
    }
}

/// An open network namespace.
pub(crate) struct NamespaceFile(File);

impl NamespaceFile {
    /// One that has a name.
    pub(crate) fn of(name: &str) -> anyhow::Result<Self> {
        Ok(Self(File::open(format!("/run/netns/{name}"))?))
    }

    /// Moves the calling thread into it. What the thread opens from then on is there.
    pub(crate) fn enter(&self) -> anyhow::Result<()> {
        setns(&self.0, CloneFlags::CLONE_NEWNET)?;
        Ok(())
    }
}

impl Drop for ClientNamespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    done(Command::new("ip").args(arguments)).map(drop)
}
