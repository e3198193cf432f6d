//! A `gantry serve` of one's own: as a child on loopback, with its data in a temporary folder.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use crate::waiting::until;

const START: Duration = Duration::from_secs(30);
const END: Duration = Duration::from_secs(15);

/// The program under test; `cargo xtask story` says where it is.
pub(crate) fn program() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("GANTRY_PROGRAM")
        .context("GANTRY_PROGRAM is not set; run: cargo xtask story NAME")?;
    Ok(PathBuf::from(path))
}

/// A running server.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    /// Where its API listens.
    api: SocketAddr,
    /// Further arguments of `serve`.
    arguments: Vec<String>,
    child: Child,
}

impl Server {
    /// Starts one with an empty data directory and waits until its API answers.
    pub(crate) async fn start() -> anyhow::Result<Server> {
        Server::start_with(&[]).await
    }

    /// As [`Server::start`], with more arguments.
    pub(crate) async fn start_with(arguments: &[&str]) -> anyhow::Result<Server> {
        Server::start_on(Ipv4Addr::LOCALHOST, arguments).await
    }

    /// As [`Server::start_with`], with its API on an address.
    pub(crate) async fn start_on(address: Ipv4Addr, arguments: &[&str]) -> anyhow::Result<Server> {
        let folder = tempfile::Builder::new().prefix("gantry-story-").tempdir()?;
        let api = SocketAddr::from((address, free_port()?));
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        let child = spawn(folder.path(), api, &arguments)?;
        let mut server = Server {
            folder,
            api,
            arguments,
            child,
        };
        server.wait().await?;
        Ok(server)
    }

    /// Number of the process.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Port of its API.
    pub(crate) fn port(&self) -> u16 {
        self.api.port()
    }

    /// The admin's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("data/admin.kubeconfig")
    }

    /// A client of the API.
    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        client(&self.kubeconfig()).await
    }

    /// `kill -9`, as a power cut or the kernel would.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("kill")
    }

    /// Starts it again on the same data.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<()> {
        self.child = spawn(self.folder.path(), self.api, &self.arguments)?;
        self.wait().await
    }

    /// Asks it to end and checks that it does so cleanly.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id().context("it ended by itself")?)?;
        kill(Pid::from_raw(pid), Signal::SIGTERM)?;
        let status = tokio::time::timeout(END, self.child.wait())
            .await
            .context("SIGTERM does not end it")??;
        if !status.success() {
            bail!("it ended with {status} on SIGTERM\n{}", self.log());
        }
        Ok(())
    }

    async fn wait(&mut self) -> anyhow::Result<()> {
        let kubeconfig = self.kubeconfig();
        let answered = until("the API answers", START, || async {
            let client = client(&kubeconfig).await.map_err(|error| format!("{error:#}"))?;
            client
                .apiserver_version()
                .await
                .map(drop)
                .map_err(|error| error.to_string())
        })
        .await;
        answered.with_context(|| self.log())
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("serve.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

/// A client for a kubeconfig.
pub(crate) async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    config.connect_timeout = Some(Duration::from_secs(2));
    Ok(Client::try_from(config)?)
}

fn spawn(folder: &Path, api: SocketAddr, arguments: &[String]) -> anyhow::Result<Child> {
    let log = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(folder.join("serve.log"))?;
    Command::new(program()?)
        .arg("serve")
        .arg("--data")
        .arg(folder.join("data"))
        .arg("--key-dir")
        .arg(folder.join("keys"))
        .args(["--api-listen", &api.to_string()])
        .args(arguments)
        // The cache of the machine is none of the story's business.
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env_remove("GANTRY_CONFIG")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("gantry serve does not start")
}

/// A port that was free a moment ago. The kernel hands the same one out again only after many others.
fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?
        .local_addr()?
        .port())
}
