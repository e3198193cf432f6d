//! Why a drill fails, with the next step.

use std::io;
use std::path::PathBuf;

/// A drill failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There are no programs of etcd.
    #[error(
        "there is no etcd in {}, and a drill starts one: put it there with `gantry image build etcd` and `gantry image export`, \
         or start `gantry serve` again where it takes its parts from the image cache", folder.display()
    )]
    NoPrograms {
        /// Where they should be.
        folder: PathBuf,
    },
    /// The appliance has no parts folder.
    #[error(
        "the appliance has no parts, and so no etcd to start: name a folder of `gantry image export` in the setting parts"
    )]
    NoParts,
    /// The scratch folder can't be used.
    #[error("cannot {what} {}; a drill needs a folder that it may write to (setting etcdDrillFolder)", path.display())]
    Scratch {
        /// What was to be done.
        what: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process drills there.
    #[error("another drill of this user is under way in {}; try again when it has ended", folder.display())]
    Busy {
        /// Where.
        folder: PathBuf,
    },
    /// Too little room.
    #[error(
        "{} has {} MiB free, and a drill of this snapshot needs {} MiB for a while: make room, or name another folder in \
         etcdDrillFolder", folder.display(), mib(*.free), mib(*.needed)
    )]
    NoRoom {
        /// Where.
        folder: PathBuf,
        /// Bytes.
        needed: u64,
        /// Bytes.
        free: u64,
    },
    /// Too little memory.
    #[error(
        "this machine has {} MiB of memory available, and a drill of this snapshot in {} may take {} MiB: free some; with a \
         folder on a disk (etcdDrillFolder) it takes less than on a tmpfs",
        mib(*.free), folder.display(), mib(*.needed)
    )]
    NoMemory {
        /// Where.
        folder: PathBuf,
        /// Bytes.
        needed: u64,
        /// Bytes.
        free: u64,
    },
    /// A program can't be started.
    #[error("cannot start {program}")]
    Program {
        /// Which.
        program: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// etcd's tool can't use the snapshot.
    #[error("etcdutl can't {what}: {why}; {ANOTHER}")]
    Snapshot {
        /// What it was to do.
        what: &'static str,
        /// What it said.
        why: String,
    },
    /// The restored etcd does not serve.
    #[error("the restored etcd does not start: {why}; {ANOTHER}")]
    NotServing {
        /// What it said.
        why: String,
    },
    /// Short-lived certificates can't be made.
    #[error("cannot make certificates for a drill")]
    Certificates(#[source] pki::Error),
    /// The restored etcd does not answer.
    #[error("the restored etcd does not answer")]
    Asked(#[source] etcd::Error),
    /// The restored etcd gives no hash of its keys.
    #[error("the restored etcd can't hash its keys: {0}")]
    NotHashed(String),
    /// The restored etcd holds something else than it should.
    #[error("{0}; {ANOTHER}")]
    Wrong(String),
    /// It took too long.
    #[error("not done within {minutes} minutes, while {stage}")]
    Slow {
        /// The limit.
        minutes: u64,
        /// What was done then.
        stage: &'static str,
    },
}

impl Error {
    /// Whether a restore with this snapshot would fail as well. Else it could not be found out.
    #[must_use]
    pub const fn is_of_snapshot(&self) -> bool {
        matches!(
            self,
            Self::Snapshot { .. } | Self::NotServing { .. } | Self::Wrong(_)
        )
    }
}

/// What to do when a snapshot is of no use.
const ANOTHER: &str = "a restore with this snapshot would fail as well, so take another one (gantry snapshot cluster) and drill that";

fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}
