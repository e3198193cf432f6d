//! What is written is read, and nothing else is there.

use std::os::unix::fs::PermissionsExt as _;

use resources::Digest;
use sealed_files::{Error, Stored};
use tokio::io::AsyncWriteExt as _;

use crate::{CHUNK, NAME, Site, content, names, sha256};

#[tokio::test]
async fn files_of_any_size_are_read_as_they_were_written() {
    let site = Site::new();
    for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7] {
        let content = content(size);
        let stored = site.write(&content).await;
        let expected = Stored {
            sha256: sha256(&content),
            size: size as u64,
        };
        assert_eq!(stored, expected);
        assert!(site.files.list(NAME).await.unwrap().contains(&stored));
        let read = site.read(NAME, stored.sha256).await.unwrap().unwrap();
        assert!(read == content, "{size}");
    }
    assert_eq!(site.files.list(NAME).await.unwrap().len(), 7);
}

#[tokio::test]
async fn pieces_and_flushes_change_nothing() {
    let site = Site::new();
    let content = content(CHUNK + CHUNK / 2);
    let mut writer = site.files.create(NAME).await.unwrap();
    for piece in content.chunks(CHUNK / 3 + 1) {
        writer.write_all(piece).await.unwrap();
        writer.flush().await.unwrap();
    }
    writer.shutdown().await.unwrap();
    let stored = writer.finish().await.unwrap();
    assert_eq!(stored.sha256, sha256(&content));
    assert!(site.read(NAME, stored.sha256).await.unwrap().unwrap() == content);
}

#[tokio::test]
async fn nothing_is_on_the_disk_in_the_clear_or_open_to_others() {
    let site = Site::new();
    let mut content = content(CHUNK);
    content.extend_from_slice(b"canary-of-the-secret");
    let stored = site.write(&content).await;
    let raw = std::fs::read(site.file(stored)).unwrap();
    let canary = |window: &[u8]| window == b"canary-of-the-secret";
    assert!(content.windows(20).any(canary) && !raw.windows(20).any(canary));
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&site.file(stored)), 0o600);
    for folder in ["", "eksa-system", NAME] {
        assert_eq!(mode(&site.path(folder)), 0o700, "{folder}");
    }
}

#[tokio::test]
async fn a_file_is_there_when_it_is_complete() {
    let site = Site::new();
    let mut dropped = site.files.create(NAME).await.unwrap();
    dropped.write_all(&content(2 * CHUNK)).await.unwrap();
    assert_eq!(site.files.list(NAME).await.unwrap(), []);
    drop(dropped);
    assert_eq!(names(&site.path(NAME)), [""; 0]);

    let mut killed = site.files.create(NAME).await.unwrap();
    killed.write_all(&content(CHUNK)).await.unwrap();
    let stored = site.write(b"complete").await;
    // As after a crash: nobody drops it.
    std::mem::forget(killed);
    assert_eq!(names(&site.path(NAME)).len(), 2);
    let reopened = sim::sealed_files(site.folder.path());
    assert_eq!(names(&site.path(NAME)), [stored.sha256.hex()]);
    assert_eq!(reopened.list(NAME).await.unwrap(), [stored]);
}

#[tokio::test]
async fn two_writers_of_the_same_content_leave_one_file() {
    let site = Site::new();
    let content = content(CHUNK + 1);
    let mut first = site.files.create(NAME).await.unwrap();
    let mut second = site.files.create(NAME).await.unwrap();
    first.write_all(&content).await.unwrap();
    second.write_all(&content).await.unwrap();
    let stored = first.finish().await.unwrap();
    let mut early = site.files.read(NAME, stored.sha256).await.unwrap().unwrap();
    assert_eq!(second.finish().await.unwrap(), stored);
    assert_eq!(names(&site.path(NAME)), [stored.sha256.hex()]);
    assert!(site.read(NAME, stored.sha256).await.unwrap().unwrap() == content);
    // Who reads the first one reads on.
    let mut size = 0;
    while let Some(chunk) = futures::StreamExt::next(&mut early).await {
        size += chunk.unwrap().len();
    }
    assert_eq!(size, content.len());
}

#[tokio::test]
async fn what_is_removed_is_gone() {
    let site = Site::new();
    let (one, two) = (site.write(b"one").await, site.write(b"two").await);
    site.files.remove(NAME, one.sha256).await.unwrap();
    site.files
        .remove(NAME, one.sha256)
        .await
        .expect("what is gone may be removed");
    assert_eq!(site.read(NAME, one.sha256).await.unwrap(), None);
    assert_eq!(site.files.list(NAME).await.unwrap(), [two]);
    site.files.remove_all(NAME).await.unwrap();
    site.files.remove_all(NAME).await.unwrap();
    assert_eq!(site.files.list(NAME).await.unwrap(), []);
    assert_eq!(site.read(NAME, two.sha256).await.unwrap(), None);
    let again = site.write(b"two").await;
    assert_eq!(site.read(NAME, again.sha256).await.unwrap().unwrap(), b"two");
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_refused_everywhere() {
    let site = Site::new();
    let digest = Digest::new([0; 32]);
    for name in ["../x", "/etc", "a/../../b", ""] {
        let refused = [
            site.files.create(name).await.unwrap_err(),
            site.files.read(name, digest).await.unwrap_err(),
            site.files.list(name).await.unwrap_err(),
            site.files.remove(name, digest).await.unwrap_err(),
            site.files.remove_all(name).await.unwrap_err(),
        ];
        assert!(
            refused.iter().all(|error| matches!(error, Error::Name { .. })),
            "{refused:?}"
        );
    }
}
