//! Copies in a directory.

use std::path::PathBuf;

use resources::gantry::SnapshotCopy;
use snapshot_copies::{Copies, Directory, Error, Key, Place};

use crate::site::{Appliance, CLUSTER, UID, below, fetched, keeps};

#[tokio::test]
async fn a_directory_keeps_the_newest_copies() {
    let appliance = Appliance::new();
    let folder = appliance.folder.path().join("mounted");
    std::fs::create_dir(&folder).unwrap();
    let copies = appliance.copies(Place::Directory(Directory::new(folder.clone())), "5a", 3);
    std::fs::create_dir_all(folder.join(CLUSTER).join(UID)).unwrap();
    std::fs::write(folder.join(CLUSTER).join(UID).join("notes.txt"), "of the user").unwrap();
    keeps(&appliance, &copies).await;
    let found = below(&folder);
    assert_eq!(found.len(), 4, "three copies and what is not ours: {found:?}");
    for file in found.iter().filter(|file| !file.ends_with("notes.txt")) {
        assert!(SnapshotCopy::read(file.to_str().unwrap()).is_some(), "{file:?}");
    }
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_not_made() {
    let appliance = Appliance::new();
    let folder = appliance.folder.path().join("not-mounted");
    let copies = appliance.copies(Place::Directory(Directory::new(folder.clone())), "5a", 3);
    let copy = appliance.taken(10, 0).await;
    let refused = appliance.put(&copies, &copy).await.unwrap_err().to_string();
    assert!(refused.contains("mount"), "{refused}");
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_copy_that_was_damaged_or_is_of_another_cluster_or_key_is_refused() {
    let appliance = Appliance::new();
    let folder = appliance.folder.path().join("mounted");
    std::fs::create_dir(&folder).unwrap();
    let place = || Place::Directory(Directory::new(folder.clone()));
    let copies = appliance.copies(place(), "5a", 3);
    let copy = appliance.taken(5000, 0).await;
    appliance.put(&copies, &copy).await.unwrap();
    let file = PathBuf::from(copies.location(&copy));
    let good = std::fs::read(&file).unwrap();
    assert!(
        !good.windows(16).any(|part| part == (0..16).collect::<Vec<u8>>()),
        "it is sealed"
    );

    let refused = async |copies: &Copies, copy: &SnapshotCopy| {
        let error = fetched(copies, copy).await.unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
    };
    let last = good.len() - 1;
    for at in [0, 20, last / 2, last] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&file, bad).unwrap();
        refused(&copies, &copy).await;
    }
    for length in [0, 10, last] {
        std::fs::write(&file, &good[..length]).unwrap();
        refused(&copies, &copy).await;
    }
    std::fs::write(&file, &good).unwrap();
    refused(&appliance.copies(place(), "5b", 3), &copy).await;
    for (cluster, uid) in [("test", UID), ("prod", "00000000-0000-0000-0000-000000000000")] {
        let other = SnapshotCopy {
            cluster: cluster.to_owned(),
            cluster_uid: uid.to_owned(),
            ..copy.clone()
        };
        let copies = appliance.copies(place(), "5a", 3);
        let moved = PathBuf::from(copies.location(&other));
        std::fs::create_dir_all(moved.parent().unwrap()).unwrap();
        std::fs::write(&moved, &good).unwrap();
        refused(&copies, &other).await;
    }
    let copies = appliance.copies(place(), "5a", 3);
    assert_eq!(fetched(&copies, &copy).await.unwrap().len(), 5000);
}

#[test]
fn a_key_is_64_digits() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    assert!(Key::read(&file).is_err());
    for (text, good) in [
        ("", false),
        (&"0".repeat(64) as &str, true),
        (&"0".repeat(63), false),
        (&"x".repeat(64), false),
    ] {
        std::fs::write(&file, text).unwrap();
        assert_eq!(Key::read(&file).is_ok(), good, "{text}");
    }
}
