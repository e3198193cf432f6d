//! An appliance with snapshots, and what every place of copies must do.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use resources::Time;
use resources::gantry::{EtcdSnapshot, SnapshotCopy};
use sealed_files::SealedFiles;
use snapshot_copies::{Copies, Error, Key, Place};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

pub(crate) const CLUSTER: &str = "eksa-system/prod";
pub(crate) const UID: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";

/// An appliance's sealed files, and the key and place of its copies.
pub(crate) struct Appliance {
    pub(crate) folder: TempDir,
    files: SealedFiles,
}

fn key(folder: &Path, digits: &str) -> Key {
    let file = folder.join("copies.key");
    std::fs::write(&file, format!("{}\n", digits.repeat(32))).unwrap();
    Key::read(&file).unwrap()
}

impl Appliance {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = sim::sealed_files(folder.path());
        Self { folder, files }
    }

    pub(crate) fn copies(&self, place: Place, digits: &str, kept: usize) -> Copies {
        let transit = self.folder.path().join("transit");
        Copies::open(place, &key(self.folder.path(), digits), &transit, kept).unwrap()
    }

    /// Keeps a snapshot of so many bytes, taken so many seconds after another time.
    pub(crate) async fn taken(&self, size: usize, at: i64) -> SnapshotCopy {
        let mut file = self.files.create(CLUSTER).await.unwrap();
        let data: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
        file.write_all(&data).await.unwrap();
        let stored = file.finish().await.unwrap();
        let snapshot = EtcdSnapshot {
            sha256: stored.sha256,
            size: stored.size,
            taken_at: Time(Timestamp::from_second(1_800_000_000 + at).unwrap()),
            copy: None,
            contents: None,
        };
        SnapshotCopy::of("eksa-system", "prod", UID, &snapshot)
    }

    pub(crate) async fn put(&self, copies: &Copies, copy: &SnapshotCopy) -> Result<(), Error> {
        let reader = self.files.read(CLUSTER, copy.sha256).await.unwrap().unwrap();
        copies.put(copy, reader).await
    }
}

/// Files below a folder, by their path from there.
pub(crate) fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => found.push(path.strip_prefix(folder).unwrap().to_owned()),
            }
        }
    }
    found.sort();
    found
}

pub(crate) async fn fetched(copies: &Copies, copy: &SnapshotCopy) -> Result<Vec<u8>, Error> {
    let mut data = Vec::new();
    copies.fetch(copy, &mut data).await.map(|()| data)
}

/// What every place must do: give back what it was given, keep the newest, say what is not there.
pub(crate) async fn keeps(appliance: &Appliance, copies: &Copies) {
    // More than one chunk of a sealed file.
    let sizes = [3 << 20, 0, 1000, 7];
    let mut taken = Vec::new();
    for (at, size) in sizes.into_iter().enumerate() {
        let copy = appliance.taken(size, i64::try_from(at).unwrap()).await;
        appliance.put(copies, &copy).await.unwrap();
        taken.push((copy, size));
    }
    for (copy, size) in &taken[1..] {
        let data = fetched(copies, copy).await.unwrap();
        assert_eq!(data.len(), *size);
        assert!(
            data.iter()
                .enumerate()
                .all(|(at, byte)| usize::from(*byte) == at % 251)
        );
    }
    let gone = fetched(copies, &taken[0].0).await.unwrap_err();
    assert!(matches!(gone, Error::Missing { .. }), "{gone}");
    // The same again changes nothing.
    appliance.put(copies, &taken[3].0).await.unwrap();
    fetched(copies, &taken[1].0).await.unwrap();
    let left = below(&appliance.folder.path().join("transit"));
    assert!(left.is_empty(), "{left:?}");
}
