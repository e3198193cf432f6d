//! The machines of a storm. Scripts are fetched by a thread of their own, so that what is measured is the server's delay and
//! not that of a load generator which is busy with kernels.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinSet;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::served::Served;
use crate::benches::cable::Cable;
use crate::benches::http_client::{connect, get};
use crate::benches::machines;
use crate::benches::meter::{Meter, late};

/// What is fetched.
pub(super) struct Storm {
    machines: usize,
    files: Vec<File>,
    /// The script that all get; otherwise each must get its own.
    shared: Option<Vec<u8>>,
}

struct File {
    name: String,
    length: u64,
    digest: u64,
}

/// What came of it; times in milliseconds.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Machines that did not get everything as it is.
    pub(super) errors: usize,
    /// What one of them met.
    pub(super) failure: Option<String>,
    pub(super) wall: f64,
    /// From the start of the storm.
    pub(super) script: f64,
    /// Seconds of the server's processor time for 10^9 bytes.
    pub(super) cpu: f64,
    /// Share of a core that fetching took.
    pub(super) client: f64,
}

impl Storm {
    pub(super) fn new(
        folder: &Path,
        machines: usize,
        files: &[&str],
        shared: Option<Vec<u8>>,
    ) -> anyhow::Result<Storm> {
        let file = |name: &&str| -> anyhow::Result<File> {
            let content = std::fs::read(folder.join(name))?;
            Ok(File {
                name: (*name).to_owned(),
                length: content.len() as u64,
                digest: xxh3_64(&content),
            })
        };
        let files = files.iter().map(file).collect::<anyhow::Result<_>>()?;
        Ok(Storm {
            machines,
            files,
            shared,
        })
    }
}

/// One machine's script.
pub(super) fn script_of(cable: &Cable, served: &Served, number: usize) -> anyhow::Result<Vec<u8>> {
    let (address, path) = (served.address, (served.script)(number));
    let work = move || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(async {
            let mut connection = connect(machines::address(number), address).await?;
            connection.fetch(&get(&path, true)).await
        }))
    };
    lab::in_namespace(&cable.client, work)?
}

pub(super) fn run(cable: &Cable, served: &Served, storm: Storm) -> anyhow::Result<Outcome> {
    let count = storm.machines;
    let bytes: u64 = storm.files.iter().map(|file| file.length * count as u64).sum();
    let (address, script, files) = (served.address, served.script, served.files);
    let meter = Meter::start(&served.process)?;
    let work = move || {
        let bulk = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let scripts = Builder::new_current_thread().enable_all().build()?;
        let (began, storm) = (Instant::now(), Arc::new(storm));
        Ok(scripts.block_on(async {
            let mut machines = JoinSet::new();
            for number in 1..=count {
                let machine = Machine {
                    number,
                    address,
                    script: script(number),
                    files,
                    storm: storm.clone(),
                };
                machines.spawn(machine.boot(began, bulk.handle().clone()));
            }
            machines.join_all().await
        }))
    };
    let booted = lab::in_namespace(&cable.client, work)?;
    let reading = meter.read()?;
    let mut scripts: Vec<Duration> = Vec::new();
    let mut failures = Vec::new();
    for machine in booted {
        match machine {
            Ok(script) => scripts.push(script),
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    Ok(Outcome {
        errors: failures.len(),
        failure: failures.pop(),
        wall: reading.wall.as_secs_f64() * 1e3,
        script: late(scripts),
        cpu: reading.server.as_secs_f64() / (bytes as f64 / 1e9),
        client: reading.client,
    })
}

struct Machine {
    number: usize,
    address: std::net::SocketAddr,
    script: String,
    files: &'static str,
    storm: Arc<Storm>,
}

impl Machine {
    /// When it had its script.
    async fn boot(self, began: Instant, bulk: Handle) -> anyhow::Result<Duration> {
        let from = machines::address(self.number);
        let mut connection = connect(from, self.address).await.context("script")?;
        let script = connection
            .fetch(&get(&self.script, true))
            .await
            .context("script")?;
        let after = began.elapsed();
        drop(connection);
        match &self.storm.shared {
            Some(shared) => ensure!(script == *shared, "another script"),
            None => {
                let name = format!(" of {}\n", machines::name(self.number));
                let text = String::from_utf8_lossy(&script);
                ensure!(
                    text.contains(&name),
                    "machine {} got another's script: {text}",
                    self.number
                );
            }
        }
        bulk.spawn(self.files()).await??;
        Ok(after)
    }

    async fn files(self) -> anyhow::Result<()> {
        for file in &self.storm.files {
            let path = format!("{}/{}", self.files, file.name);
            let mut connection = connect(machines::address(self.number), self.address).await?;
            let (mut digest, mut length) = (Xxh3::new(), 0);
            let body = |piece: &[u8]| {
                digest.update(piece);
                length += piece.len() as u64;
            };
            let status = connection
                .ask(&get(&path, true), body)
                .await
                .context(path.clone())?;
            ensure!(
                (status, length, digest.digest()) == (200, file.length, file.digest),
                "{path}: status {status}, {length} bytes, not the file"
            );
        }
        Ok(())
    }
}
