//! What can go wrong while the appliance starts or runs.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// An error of the appliance; the text names the object and the next step.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is wrong.
    #[error("{0}")]
    Setting(#[from] crate::settings::Fault),
    /// The database or the data directory cannot be used.
    #[error("data directory {path}")]
    Store {
        /// The directory.
        path: PathBuf,
        #[source]
        source: store::Error,
    },
    /// A restore has not come to its end.
    #[error(
        "data directory {} holds a part of a backup: a restore was interrupted; run the same `gantry restore appliance` again",
        path.display()
    )]
    RestoreInterrupted {
        /// The directory.
        path: PathBuf,
    },
    /// Keys cannot be read or made.
    #[error("keys in {path}")]
    Keys {
        /// The directory.
        path: PathBuf,
        #[source]
        source: pki::Error,
    },
    /// The sealed files cannot be used.
    #[error("the sealed files do not open")]
    SealedFiles(#[source] sealed_files::Error),
    /// The embedded API does not open.
    #[error("the Kubernetes API does not open")]
    Api(#[source] apiserver::Error),
    /// A file cannot be written or read.
    #[error("{verb} {path}")]
    File {
        /// What was tried.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A listener's address is taken or not ours.
    #[error("{what} cannot listen on {address} (setting `{key}`): is another server running there?")]
    Listen {
        /// What listens.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// The setting to change.
        key: &'static str,
        #[source]
        source: std::io::Error,
    },
    /// The network interface does not exist.
    #[error("setting `interface`: there is no network interface {name:?}; this machine has {known}")]
    Interface {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// Somebody else has the address.
    #[error(
        "setting `address`: {address} is in use by {holder} on {interface}; choose a free address (tinkerbellIP)"
    )]
    AddressTaken {
        /// The address.
        address: Ipv4Addr,
        /// The MAC that answered.
        holder: String,
        /// Where.
        interface: String,
    },
    /// The address cannot be looked for or added.
    #[error(
        "setting `address`: {address} cannot be put on {interface}: {reason} (it needs CAP_NET_ADMIN and CAP_NET_RAW)"
    )]
    Address {
        /// The address.
        address: Ipv4Addr,
        /// Where.
        interface: String,
        /// Why.
        reason: String,
    },
    /// A file of the parts directory is not what it should be.
    #[error("parts in {path}: {reason}; `gantry image export {path}` makes them")]
    Parts {
        /// The directory.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// An object cannot be written at start.
    #[error("object {object} cannot be written")]
    Object {
        /// Kind and name.
        object: String,
        #[source]
        source: Box<kube::Error>,
    },
    /// A part of the appliance does not start.
    #[error("{part} does not start")]
    Part {
        /// Which.
        part: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Boot services without anything to boot.
    #[error(
        "setting `interface` is given, but there is no installer to boot machines with: fetch one with `gantry image \
         import`, build one with `gantry image build`, or name a folder that `gantry image export DIR` made with `parts`"
    )]
    NoParts,
    /// A task ended that runs for ever.
    #[error("{task} ended: {reason}")]
    Task {
        /// Its name.
        task: &'static str,
        /// Why.
        reason: String,
    },
    /// The log cannot be set up.
    #[error("setting `log`: {0}")]
    Logs(String),
}

impl Error {
    pub(crate) fn part<E>(part: &'static str) -> impl FnOnce(E) -> Error
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |source| Error::Part {
            part,
            source: source.into(),
        }
    }

    pub(crate) fn file(verb: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::File { verb, path, source }
    }
}
