//! `renew-certificates`: in the installed system of a member of a control plane, with that system's own kubeadm, renew the
//! certificates that have ended. While they count, the cluster renews them, and this action refuses: it is for a cluster whose
//! members can't talk to each other any more.
//!
//! The file system is found by what it holds. A run that was cut off has left a directory, by which the next one goes on.

use std::fs::File;
use std::io::Read as _;

use agent_protocol::environment::{
    DEST_DISK, FACT_API_SERVER_CERTIFICATE, FACT_ETCD_CERTIFICATE, NODE_NAME, RENEWAL_SCRIPT,
};
use jiff::Timestamp;
use pki::ServedCertificate;

use super::parts::{Holds, parts};
use super::{ActionContext, Outcome};
use crate::system::InstalledProgram;
use crate::{Error, FileTree, Mounted};

/// What only a member of a control plane has.
const AUTHORITY: &str = "/etc/kubernetes/pki/ca.crt";
const API_SERVER: &str = "/etc/kubernetes/pki/apiserver.crt";
const ETCD: &str = "/etc/kubernetes/pki/etcd/server.crt";
/// The certificates that end after a year, as far as a member has them.
const CERTIFICATES: [&str; 7] = [
    API_SERVER,
    "/etc/kubernetes/pki/apiserver-kubelet-client.crt",
    "/etc/kubernetes/pki/apiserver-etcd-client.crt",
    "/etc/kubernetes/pki/front-proxy-client.crt",
    ETCD,
    "/etc/kubernetes/pki/etcd/peer.crt",
    "/etc/kubernetes/pki/etcd/healthcheck-client.crt",
];
/// The kubelet's, with its key.
const KUBELET: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
/// The script works in it and removes it at its end.
const BEGUN: &str = "/etc/kubernetes/.gantry-renewal";
/// Of a certificate; more is none.
const LONGEST: u64 = 1 << 20;

pub(super) fn run(context: &ActionContext) -> Result<Outcome, Error> {
    let script = context.required(RENEWAL_SCRIPT)?;
    let node = context.required(NODE_NAME)?;
    context.admit()?;
    let mounted = root(context)?;
    let tree = FileTree::open(mounted.path())?;
    let now = Timestamp::now();
    let ends = |path: &str| certificate(&tree, path).map(|known| known.not_after);
    let first = CERTIFICATES.into_iter().filter_map(ends).min();
    let begun = tree.has(BEGUN)?;
    match first {
        Some(first) if first > now && !begun => {
            if !context.resumed {
                return Err(Error::StillValid { ends: first });
            }
            context.board.log("the certificates are new already");
        }
        _ => {
            let of_kubelet = ends(KUBELET).is_some_and(|ends| ends <= now || begun);
            let node = if of_kubelet { node } else { "" };
            let mut line = |line| context.board.log(line);
            context.admit()?;
            let program = InstalledProgram {
                root: mounted.path(),
                script,
                arguments: &[node],
                lease: &context.lease,
                cancel: &context.cancel,
            };
            context.host.run_installed(&program, &mut line)?;
        }
    }
    let shown = |path| certificate(&tree, path).filter(|known| known.not_after > now);
    let (Some(api_server), Some(etcd)) = (shown(API_SERVER), shown(ETCD)) else {
        return Err(Error::Program {
            what: "renewing the certificates",
            status: "without an error".to_owned(),
            last: format!("{API_SERVER} or {ETCD} has ended all the same"),
        });
    };
    drop(tree);
    mounted.close()?;
    let until = api_server.not_after.min(etcd.not_after);
    Ok(
        Outcome::done(format!("the certificates of {node} count until {until:.0}"))
            .fact(FACT_API_SERVER_CERTIFICATE, api_server.sha256.to_string())
            .fact(FACT_ETCD_CERTIFICATE, etcd.sha256.to_string()),
    )
}

/// The root file system of the installed system.
fn root(context: &ActionContext) -> Result<Mounted, Error> {
    let (device, target) = context.open_disk(DEST_DISK)?;
    let found = parts(&device, &*target)?;
    // Nothing of an open disk can be mounted.
    drop(target);
    for part in found {
        let Holds::Files(fs_type) = part.holds else {
            continue;
        };
        let device = part.device(context, &device)?;
        let mounted = match context.host.mount(&device, fs_type, false) {
            Ok(mounted) => mounted,
            Err(error) => {
                context
                    .board
                    .log(format!("{part} is passed over: {}", error.line()));
                continue;
            }
        };
        if FileTree::open(mounted.path())?.has(AUTHORITY)? {
            return Ok(mounted);
        }
        mounted.close()?;
    }
    Err(Error::NoMember {
        disk: context.host.stable_name(&device).display().to_string(),
        path: AUTHORITY,
    })
}

/// The first certificate of a file of the installed system.
fn certificate(tree: &FileTree, path: &str) -> Option<ServedCertificate> {
    let mut pem = Vec::new();
    let file: File = tree.read(path).ok()?;
    file.take(LONGEST).read_to_end(&mut pem).ok()?;
    ServedCertificate::of_pem(&pem)
}
