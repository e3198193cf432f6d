//! Whether a snapshot, and the etcd that was restored from it, hold what they should. Pure; a text says what is wrong.

use etcd::{EtcdView, KvHash};
use node_config::REVISION_BUMP;
use resources::gantry::EtcdContents;
use serde::Deserialize;

use crate::member::NAME;
use crate::objects::Stored;

/// What is known of a snapshot and of its cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// What the etcd that it was taken from said of its data.
    pub contents: Option<EtcdContents>,
    /// Certificate (PEM) of the cluster's authority, which its pods and nodes trust.
    pub authority: Option<String>,
}

/// A snapshot, as `etcdutl snapshot status` prints it as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    pub(crate) revision: i64,
    /// Keys with a value.
    pub(crate) total_key: u64,
}

/// The snapshot is not older than the answer of its etcd before it.
pub(crate) fn revision(status: Status, contents: Option<&EtcdContents>) -> Result<(), String> {
    match contents {
        Some(known) if status.revision < known.revision => Err(format!(
            "the snapshot ends with revision {}, and its etcd was at {} before it was taken",
            status.revision, known.revision
        )),
        _ => Ok(()),
    }
}

/// The keys have the hash that their etcd gave. Tells whether that could be compared.
pub(crate) fn hash(found: KvHash, known: &EtcdContents) -> Result<bool, String> {
    if found.compact_revision != known.compact_revision {
        // Old values went between the two.
        return Ok(false);
    }
    match found.hash == known.hash {
        true => Ok(true),
        false => Err(format!(
            "the keys up to revision {} have the hash {}, and their etcd gave {}: they were damaged before the snapshot was \
             sealed, or it is one of another cluster",
            known.revision, found.hash, known.hash
        )),
    }
}

/// The restored etcd is the only member of a new cluster, which begins behind everything that clients have seen. Gives its
/// revision and version.
pub(crate) fn member(view: &EtcdView, status: Status) -> Result<(i64, String), String> {
    let names: Vec<&str> = view.members.iter().map(|member| member.name.as_str()).collect();
    let [own] = view.members.as_slice() else {
        return Err(format!("the restored etcd has the members {}", names.join(", ")));
    };
    if own.name != NAME {
        return Err(format!("the restored etcd is a member of the name {}", own.name));
    }
    let seen = own.status.as_ref().ok_or("the restored etcd has no status")?;
    let wanted = status.revision.saturating_add(REVISION_BUMP);
    if seen.revision != wanted {
        return Err(format!(
            "the restored etcd begins with revision {} instead of {wanted}",
            seen.revision
        ));
    }
    Ok((seen.revision, seen.version.clone()))
}

/// No alarm is left that would make a restored cluster refuse writes.
pub(crate) fn alarms(view: &EtcdView) -> Result<(), String> {
    let of_members = view.members.iter().flat_map(|member| &member.alarms);
    match of_members.chain(&view.alarms).next() {
        Some(alarm) => Err(format!(
            "the data hold an alarm of their etcd ({alarm}), with which a restored cluster would take no writes"
        )),
        None => Ok(()),
    }
}

/// As many keys are served as are in the snapshot.
pub(crate) fn keys(served: u64, status: Status) -> Result<(), String> {
    // A snapshot of a cluster that was restored before has a key with an empty name, which no range holds: with it the
    // revision was raised.
    let unnamed = u64::from(status.revision > REVISION_BUMP);
    let counts = status.total_key.saturating_sub(unnamed)..=status.total_key;
    match counts.contains(&served) {
        true => Ok(()),
        false => Err(format!(
            "the restored etcd has {served} keys, and the snapshot {}",
            status.total_key
        )),
    }
}

/// An object is there, in the clear and of its kind.
pub(crate) fn object(key: &str, value: Option<&[u8]>, wanted: &str) -> Result<Stored, String> {
    let value =
        value.ok_or_else(|| format!("{key} is missing, without which a control plane can't go on"))?;
    match Stored::read(value) {
        Stored::Object { kind, .. } if kind != wanted => Err(format!("{key} is a {kind:?} and no {wanted}")),
        Stored::Encrypted(how) => Err(encrypted(&format!("{key} is"), &how)),
        Stored::Unreadable => Err(format!("{key} is nothing that Kubernetes writes")),
        object @ Stored::Object { .. } => Ok(object),
    }
}

/// Gantry keeps no key of encryption at rest, so what is encrypted so can't be read after a restore.
pub(crate) fn encrypted(what: &str, how: &str) -> String {
    format!(
        "{what} encrypted by the API server ({how}) with a key that Gantry does not keep, so a restored API server could not \
         read it: store it unencrypted again (identity first in the EncryptionConfiguration, then kubectl get secrets -A -o \
         json | kubectl replace -f -)"
    )
}

/// The cluster whose pods trust this bundle is the one with this authority.
pub(crate) fn authority(bundle: &str, authority: &str) -> Result<(), String> {
    let plain = |text: &str| text.split_whitespace().collect::<String>();
    match plain(bundle).contains(&plain(authority)) {
        true => Ok(()),
        false => Err(
            "ConfigMap kube-system/kube-root-ca.crt holds another authority than the cluster's: these are the data of \
             another cluster"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use etcd::{Alarm, Health, MemberId, MemberStatus, MemberView, Membership};

    use super::*;

    const KNOWN: EtcdContents = EtcdContents {
        revision: 90,
        compact_revision: 40,
        hash: 7,
    };

    fn status(revision: i64, total_key: u64) -> Status {
        Status { revision, total_key }
    }

    #[test]
    fn a_snapshot_reaches_the_revision_that_its_etcd_had() {
        assert_eq!(revision(status(90, 1), Some(&KNOWN)), Ok(()));
        assert_eq!(revision(status(0, 0), None), Ok(()));
        let older = revision(status(89, 1), Some(&KNOWN)).unwrap_err();
        assert!(
            older.contains("revision 89") && older.contains("at 90"),
            "{older}"
        );
    }

    #[test]
    fn hashes_compare_only_between_the_same_revisions() {
        let found = |hash, compact_revision| KvHash {
            hash,
            compact_revision,
        };
        assert_eq!(hash(found(7, 40), &KNOWN), Ok(true));
        assert_eq!(hash(found(8, 41), &KNOWN), Ok(false));
        assert!(hash(found(8, 40), &KNOWN).unwrap_err().contains("hash 8"));
    }

    fn member_named(name: &str, revision: i64) -> MemberView {
        MemberView {
            id: MemberId(1),
            name: name.to_owned(),
            peer_urls: Vec::new(),
            client_urls: Vec::new(),
            learner: false,
            health: Health::Healthy,
            status: Some(MemberStatus {
                endpoint: ([127, 0, 0, 2], 2379).into(),
                version: "3.6.6".to_owned(),
                revision,
                db_size: 0,
                leader: Some(MemberId(1)),
                raft_term: 2,
                raft_index: 4,
                raft_applied_index: 4,
                errors: Vec::new(),
            }),
            alarms: Vec::new(),
        }
    }

    fn view(members: Vec<MemberView>, alarms: Vec<Alarm>) -> EtcdView {
        EtcdView {
            cluster: 1,
            members,
            membership: Membership::Confirmed,
            leader: Some(MemberId(1)),
            alarms,
            outsiders: Vec::new(),
        }
    }

    #[test]
    fn a_restored_etcd_is_alone_and_behind_what_clients_have_seen() {
        let bumped = REVISION_BUMP + 90;
        let own = || member_named(NAME, bumped);
        let seen = |members| member(&view(members, Vec::new()), status(90, 1));
        assert_eq!(seen(vec![own()]), Ok((bumped, "3.6.6".to_owned())));
        let with_old = seen(vec![own(), member_named("cp-1", 90)]).unwrap_err();
        assert!(with_old.contains("the members drill, cp-1"), "{with_old}");
        assert!(
            seen(vec![member_named("cp-1", bumped)])
                .unwrap_err()
                .contains("cp-1")
        );
        assert!(
            seen(vec![member_named(NAME, 90)])
                .unwrap_err()
                .contains("revision 90")
        );
        assert!(seen(Vec::new()).is_err());
    }

    #[test]
    fn an_alarm_in_the_data_would_stop_a_restored_cluster() {
        assert_eq!(alarms(&view(Vec::new(), Vec::new())), Ok(()));
        let left = alarms(&view(Vec::new(), vec![Alarm::NoSpace])).unwrap_err();
        assert!(left.contains("take no writes"), "{left}");
    }

    #[test]
    fn keys_are_counted_but_for_the_one_without_a_name() {
        let bumped = REVISION_BUMP + 90;
        for (served, revision, held, good) in [
            (5, 90, 5, true),
            (4, 90, 5, false),
            (6, 90, 5, false),
            (4, bumped, 5, true),
            (5, bumped, 5, true),
            (3, bumped, 5, false),
            (0, 1, 0, true),
        ] {
            assert_eq!(
                keys(served, status(revision, held)).is_ok(),
                good,
                "{served} {revision}"
            );
        }
    }

    #[test]
    fn an_object_must_be_readable_for_a_restored_api_server() {
        let json = br#"{"kind":"Namespace"}"#;
        let refused = |value: Option<&[u8]>| object("/registry/x", value, "Namespace").unwrap_err();
        assert!(object("/registry/x", Some(json), "Namespace").is_ok());
        assert!(refused(None).contains("is missing"));
        assert!(refused(Some(br#"{"kind":"Node"}"#)).contains("no Namespace"));
        assert!(refused(Some(b"\x00\x01")).contains("nothing that Kubernetes writes"));
        let text = refused(Some(b"k8s:enc:aescbc:v1:key1:\x00\x01"));
        assert!(text.contains("(k8s:enc:aescbc:v1:key1)"), "{text}");
    }

    #[test]
    fn an_authority_is_found_in_a_bundle_whatever_its_lines_are() {
        let own = "-----BEGIN CERTIFICATE-----\nMIIB\nAAAA\n-----END CERTIFICATE-----\n";
        let bundle = format!("-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n{own}");
        assert_eq!(authority(&bundle, own.trim()), Ok(()));
        assert!(authority(own, &bundle).is_err());
    }
}
