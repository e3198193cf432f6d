//! Which copy of which snapshot of etcd lies outside of the appliance: all that has to be known of it is in its path, so that
//! an appliance that was lost needs no list of its copies.

use std::fmt;

use jiff::Timestamp;

use super::EtcdSnapshot;
use crate::{Digest, Time};

const TIME: &str = "%Y%m%dT%H%M%SZ";
const ENDING: &str = ".sealed";

/// A copy of a snapshot. As a text, and as the end of a path or URL: `<namespace>/<cluster>/<id of the cluster>/<time taken>-<bytes
/// of the snapshot>-<its SHA-256>.sealed`. Those of one cluster sort by their time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotCopy {
    /// Namespace of the cluster.
    pub namespace: String,
    /// Name of the cluster.
    pub cluster: String,
    /// `clusterUid` of its ControlPlane.
    pub cluster_uid: String,
    /// SHA-256 of the snapshot.
    pub sha256: Digest,
    /// Bytes of the snapshot.
    pub size: u64,
    /// When it was taken, in whole seconds.
    pub taken_at: Timestamp,
}

impl SnapshotCopy {
    /// The copy of a snapshot of a cluster.
    #[must_use]
    pub fn of(namespace: &str, cluster: &str, cluster_uid: &str, snapshot: &EtcdSnapshot) -> Self {
        let taken_at = snapshot.taken_at.0;
        Self {
            namespace: namespace.to_owned(),
            cluster: cluster.to_owned(),
            cluster_uid: cluster_uid.to_owned(),
            sha256: snapshot.sha256,
            size: snapshot.size,
            taken_at: Timestamp::from_second(taken_at.as_second()).unwrap_or(taken_at),
        }
    }

    /// Reads the end of a path or URL; `None` when it is of no copy.
    #[must_use]
    pub fn read(place: &str) -> Option<Self> {
        let mut parts = place.rsplitn(5, '/');
        let file = parts.next()?.strip_suffix(ENDING)?;
        let [cluster_uid, cluster, namespace] = [parts.next()?, parts.next()?, parts.next()?];
        let mut fields = file.splitn(3, '-');
        let (time, size, sha256) = (fields.next()?, fields.next()?, fields.next()?);
        let copy = Self {
            namespace: namespace.to_owned(),
            cluster: cluster.to_owned(),
            cluster_uid: cluster_uid.to_owned(),
            sha256: sha256.parse().ok()?,
            size: size.parse().ok()?,
            taken_at: jiff::civil::DateTime::strptime(TIME, time)
                .ok()?
                .to_zoned(jiff::tz::TimeZone::UTC)
                .ok()?
                .timestamp(),
        };
        copy.to_string()
            .ends_with(place.rsplit('/').next()?)
            .then_some(copy)
    }

    /// Where all copies of the cluster lie.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("{}/{}/{}", self.namespace, self.cluster, self.cluster_uid)
    }

    /// The snapshot, as a ControlPlane lists it.
    #[must_use]
    pub fn snapshot(&self, place: &str) -> EtcdSnapshot {
        EtcdSnapshot {
            sha256: self.sha256,
            size: self.size,
            taken_at: Time(self.taken_at),
            copy: Some(place.to_owned()),
            contents: None,
        }
    }
}

impl fmt::Display for SnapshotCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}-{}-{}{ENDING}",
            self.folder(),
            self.taken_at.strftime(TIME),
            self.size,
            self.sha256.hex()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_which_copy_it_is() {
        let snapshot = EtcdSnapshot {
            sha256: Digest::new([0xab; 32]),
            size: 4096,
            taken_at: Time("2026-01-02T03:04:05.678Z".parse().unwrap()),
            copy: None,
            contents: None,
        };
        let copy = SnapshotCopy::of("eksa-system", "prod", "7c9e6679-7425", &snapshot);
        let text = copy.to_string();
        let digits = "ab".repeat(32);
        assert_eq!(
            text,
            format!("eksa-system/prod/7c9e6679-7425/20260102T030405Z-4096-{digits}.sealed")
        );
        for before in ["", "/mnt/backup/", "s3://bucket/some/prefix/"] {
            let place = format!("{before}{text}");
            assert_eq!(SnapshotCopy::read(&place), Some(copy.clone()), "{place}");
        }
        let found = copy.snapshot("/mnt/x");
        assert_eq!((found.sha256, found.size), (snapshot.sha256, snapshot.size));
        assert_eq!(
            SnapshotCopy::of("eksa-system", "prod", "7c9e6679-7425", &found),
            copy
        );
        let file = format!("a/b/c/20260102T030405Z-4096-{digits}");
        for other in [
            "",
            "prod",
            &file,
            &format!("b/c/20260102T030405Z-4096-{digits}.sealed"),
            &format!("a/b/c/20260102T030405Z-{digits}.sealed"),
            &format!("a/b/c/yesterday-4096-{digits}.sealed"),
            &format!("a/b/c/20260102T030405Z-04096-{digits}.sealed"),
            "a/b/c/20260102T030405Z-4096-abc.sealed",
        ] {
            assert_eq!(SnapshotCopy::read(other), None, "{other}");
        }
    }
}
