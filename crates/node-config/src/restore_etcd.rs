//! How the data of a snapshot of etcd get to where etcd looks for them: one text for machines and for drills.

/// What a restore adds to the revision of a snapshot when clients have seen later data: more than a cluster writes between
/// two snapshots.
pub const REVISION_BUMP: i64 = 1_000_000_000;

/// Functions of POSIX sh. `restore_etcd SNAPSHOT DIRECTORY NAME URL [older]` makes a data directory of a snapshot, for a member
/// of that name and peer URL that is alone in its cluster; with `older` it begins [`REVISION_BUMP`] behind the snapshot, and
/// everything before counts as compacted. It calls `etcdutl`, and ends the shell with status 100 when the snapshot is damaged.
#[must_use]
pub fn restore_etcd_script() -> String {
    include_str!("bootstrap/restore-etcd.sh").replace("@BUMP@", &REVISION_BUMP.to_string())
}
