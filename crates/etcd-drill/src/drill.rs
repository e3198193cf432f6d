//! One drill, from room for a snapshot to what was found in it.

use std::path::PathBuf;
use std::time::Duration;

use etcd::{EtcdView, Failure, Keys};
use resources::anywhere::{EtcdDrillFindings, EtcdDrillStage};
use resources::gantry::EtcdContents;
use serde::de::DeserializeOwned;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::error::Error;
use crate::judgement::{self, Expected, Status};
use crate::member::{Member, NAME, Place};
use crate::objects::{ROOT, Stored};
use crate::programs::{Programs, memory};
use crate::scratch::{self, Scratch, failed};

const SNAPSHOT: &str = "snapshot.db";
/// Folder of the data as a restored cluster gets them, in the scratch folder.
const DATA: &str = "data";
/// Folder of the data as they were when the snapshot was taken.
const AS_TAKEN: &str = "as-taken";

/// Objects that a restored control plane and machines that join it read, and their kinds.
const NEEDED: [(&str, &str); 4] = [
    ("namespaces/default", "Namespace"),
    ("namespaces/kube-system", "Namespace"),
    ("configmaps/kube-system/kubeadm-config", "ConfigMap"),
    ("configmaps/kube-system/kubelet-config", "ConfigMap"),
];
/// The authority that every pod trusts.
const ROOT_CA: &str = "configmaps/kube-system/kube-root-ca.crt";

/// How drills are carried out.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Folder with the programs `etcd` and `etcdutl`. None: there are none, and every drill says so.
    pub programs: Option<PathBuf>,
    /// Folder in which each drill makes one of its own; made when it is missing.
    pub folder: PathBuf,
    /// Longest time from the whole snapshot to the result.
    pub limit: Duration,
}

/// Begins drills, one at a time.
#[derive(Debug, Clone)]
pub struct Drills(Settings);

/// A drill that has room for its snapshot. Everything of it goes with this value.
#[derive(Debug)]
pub struct Drill {
    snapshot: File,
    programs: Programs,
    limit: Duration,
    // Programs that still run when this goes have ended before: they belong to futures of `rehearse`.
    scratch: Scratch,
}

impl Drills {
    /// With these settings. Nothing is looked at yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self(settings)
    }

    /// Removes what drills of a process that was killed have left.
    ///
    /// # Errors
    /// When the scratch folder can't be used.
    pub fn remove_leftovers(&self) -> Result<(), Error> {
        scratch::remove_leftovers(&self.0.folder)
    }

    /// Makes room for a snapshot of `size` bytes.
    ///
    /// # Errors
    /// Without programs, room or memory, and while another drill is under way.
    pub async fn begin(&self, size: u64) -> Result<Drill, Error> {
        let programs = Programs::open(self.0.programs.as_deref(), size)?;
        let scratch = Scratch::make(&self.0.folder, scratch::needed(size), memory(size))?;
        let path = scratch.write(SNAPSHOT, "")?;
        let opened = File::options().write(true).open(&path).await;
        Ok(Drill {
            snapshot: opened.map_err(failed("open", &path))?,
            programs,
            limit: self.0.limit,
            scratch,
        })
    }
}

impl Drill {
    /// Takes the snapshot, as its etcd sent it.
    pub fn snapshot(&mut self) -> &mut File {
        &mut self.snapshot
    }

    /// Restores the snapshot, serves it, and compares what it holds. `stage` is called when a stage begins.
    ///
    /// # Errors
    /// Why a restore with this snapshot would fail, or why that could not be found out.
    pub async fn rehearse(
        mut self,
        expected: &Expected,
        stage: &(dyn Fn(EtcdDrillStage) + Send + Sync),
    ) -> Result<EtcdDrillFindings, Error> {
        let path = self.scratch.path(SNAPSHOT);
        self.snapshot.flush().await.map_err(failed("write", &path))?;
        let now = std::sync::Mutex::new(EtcdDrillStage::Restoring);
        let begun = |next: EtcdDrillStage| {
            *now.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = next;
            stage(next);
        };
        let work = async {
            begun(EtcdDrillStage::Restoring);
            let status = self.status(expected).await?;
            let hash_compared = match &expected.contents {
                None => false,
                Some(known) => self.hash(known).await?,
            };
            let place = Place::find()?;
            self.restore(DATA, place, true).await?;
            // Its room is worth more than the file.
            let removed = tokio::fs::remove_file(&path).await;
            removed.map_err(failed("remove", &path))?;
            begun(EtcdDrillStage::Starting);
            let mut member = Member::start(&self.scratch, &self.programs, (place, DATA), self.limit)?;
            let view = member.serves().await?;
            begun(EtcdDrillStage::Reading);
            let found = read(&member, &view, status, expected).await?;
            Ok(EtcdDrillFindings {
                hash_compared,
                ..found
            })
        };
        timeout(self.limit, work).await.unwrap_or_else(|_| {
            let stage = *now.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            Err(Error::Slow {
                minutes: self.limit.as_secs().div_ceil(60),
                stage: stage.text(),
            })
        })
    }

    /// What the snapshot says of itself, when it is as its etcd sent it.
    async fn status(&self, expected: &Expected) -> Result<Status, Error> {
        let snapshot = self.scratch.path(SNAPSHOT).display().to_string();
        self.script("must_be_intact", &[&snapshot]).await?;
        let command = ["snapshot", "status", &snapshot, "-w", "json"];
        let status: Status = self.etcdutl("read the snapshot", &command).await?;
        judgement::revision(status, expected.contents.as_ref()).map_err(Error::Wrong)?;
        Ok(status)
    }

    /// Makes a data directory of the snapshot, as a machine does. `older`: clients have seen later data than these.
    async fn restore(&self, folder: &str, place: Place, older: bool) -> Result<(), Error> {
        let path = |name| self.scratch.path(name).display().to_string();
        let (snapshot, data, peer) = (path(SNAPSHOT), path(folder), place.peer_url());
        let mut arguments = vec![&*snapshot, &data, NAME, &peer];
        if older {
            arguments.push("older");
        }
        self.script("restore_etcd", &arguments).await
    }

    /// Runs a function of the script that restores etcd on machines.
    async fn script(&self, function: &str, arguments: &[&str]) -> Result<(), Error> {
        // What is restored here goes with the drill, so nothing has to be on a disk.
        let script = format!(
            "sync() {{ :; }}\n{}\n{function} \"$@\"\n",
            node_config::restore_etcd_script()
        );
        let command = [&["sh", "-euc", &script, "restore"], arguments].concat();
        let restored = self.run("restore", &command).await?;
        restored.map(drop).map_err(|why| Error::Snapshot {
            what: "restore the snapshot",
            why,
        })
    }

    /// Compares the hash of the keys with the one that their etcd gave. Tells whether that could be compared.
    ///
    /// An etcd with the data as they were computes it: `etcdutl hashkv` ends in a panic when a key has a lease, as keys of
    /// Kubernetes have, until etcd 3.7 (etcd-io/etcd#21105).
    async fn hash(&self, known: &EtcdContents) -> Result<bool, Error> {
        let place = Place::find()?;
        self.restore(AS_TAKEN, place, false).await?;
        let mut member = Member::start(&self.scratch, &self.programs, (place, AS_TAKEN), self.limit)?;
        member.serves().await?;
        let hashes = member.etcd().hash_kv(Some(known.revision)).await;
        member.end().await;
        let data = self.scratch.path(AS_TAKEN);
        let removed = tokio::fs::remove_dir_all(&data).await;
        removed.map_err(failed("remove", &data))?;
        match hashes.map_err(Error::Asked)?.members.into_values().next() {
            Some(Ok(found)) => judgement::hash(found, known).map_err(Error::Wrong),
            // Old values up to there went between the answer and the snapshot.
            Some(Err(Failure::Refused(why))) if why.contains("has been compacted") => Ok(false),
            Some(Err(failure)) => Err(Error::NotHashed(failure.to_string())),
            None => Err(Error::NotHashed("it has no member".to_owned())),
        }
    }

    /// Runs etcdutl, which prints JSON.
    async fn etcdutl<T: DeserializeOwned>(&self, what: &'static str, arguments: &[&str]) -> Result<T, Error> {
        let command = [&["etcdutl"], arguments].concat();
        let printed = self.run("etcdutl", &command).await?;
        let printed = printed.map_err(|why| Error::Snapshot { what, why })?;
        serde_json::from_str(&printed).map_err(|error| Error::Snapshot {
            what,
            why: format!("it printed no JSON that is known: {error}"),
        })
    }

    async fn run(&self, name: &'static str, command: &[&str]) -> Result<Result<String, String>, Error> {
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        self.programs.run(&self.scratch, name, &command).await
    }
}

/// Reads what is in the restored etcd, and compares it.
async fn read(
    member: &Member,
    view: &EtcdView,
    status: Status,
    expected: &Expected,
) -> Result<EtcdDrillFindings, Error> {
    let (restored_revision, etcd_version) = judgement::member(view, status).map_err(Error::Wrong)?;
    // As of a restored cluster: its etcd may have been stopped before the snapshot was taken.
    member.etcd().thaw().await.map_err(Error::Asked)?;
    let thawed = member.etcd().observe().await.map_err(Error::Asked)?;
    judgement::alarms(&thawed).map_err(Error::Wrong)?;
    let keys = Keys::connect(member.access().clone()).map_err(Error::Asked)?;
    let served = keys.count("").await.map_err(Error::Asked)?;
    judgement::keys(served, status).map_err(Error::Wrong)?;
    for (name, kind) in NEEDED {
        let key = format!("{ROOT}{name}");
        let value = keys.get(&key).await.map_err(Error::Asked)?;
        judgement::object(&key, value.as_deref(), kind).map_err(Error::Wrong)?;
    }
    if let Some(authority) = &expected.authority {
        let value = keys
            .get(&format!("{ROOT}{ROOT_CA}"))
            .await
            .map_err(Error::Asked)?;
        let object = value.map(|value| Stored::read(&value));
        let data = object.and_then(|object| object.config_map()).unwrap_or_default();
        if let Some(bundle) = data.get("ca.crt") {
            judgement::authority(bundle, authority).map_err(Error::Wrong)?;
        }
    }
    let count = async |kind: &str| {
        let counted = keys.count(&format!("{ROOT}{kind}/")).await;
        counted.map_err(Error::Asked)
    };
    Ok(EtcdDrillFindings {
        etcd_version,
        revision: status.revision,
        restored_revision,
        keys: served,
        namespaces: count("namespaces").await?,
        nodes: count("minions").await?,
        secrets: secrets(&keys).await?,
        hash_compared: false,
    })
}

/// How many Secrets there are. All of them must be readable for a restored API server.
async fn secrets(keys: &Keys) -> Result<u64, Error> {
    let prefix = format!("{ROOT}secrets/");
    let (mut count, mut encrypted, mut after): (u64, u64, Option<Vec<u8>>) = (0, 0, None);
    let mut how = String::new();
    loop {
        let page = keys.page(&prefix, after.as_deref()).await.map_err(Error::Asked)?;
        for (_, value) in &page.entries {
            count = count.saturating_add(1);
            if let Stored::Encrypted(by) = Stored::read(value) {
                encrypted = encrypted.saturating_add(1);
                how = by;
            }
        }
        after = page.entries.last().map(|(key, _)| key.clone());
        if !page.more || after.is_none() {
            break;
        }
    }
    match encrypted {
        0 => Ok(count),
        _ => {
            let what = format!("{encrypted} of {count} Secrets are");
            Err(Error::Wrong(judgement::encrypted(&what, &how)))
        }
    }
}
