//! Files that are not as they were written, and disks that are full.

use std::io;
use std::process::Command;

use sealed_files::{Error, Stored};
use tokio::io::AsyncWriteExt as _;

use crate::{CHUNK, NAME, Site, content, names};

const HEADER: usize = 32;
/// Nonce and tag of AES-GCM.
const OVERHEAD: usize = 12 + 16;
const FRAME: usize = CHUNK + OVERHEAD;

/// A site with a file of three chunks, two of them full.
async fn site() -> (Site, Stored, Vec<u8>) {
    let site = Site::new();
    let stored = site.write(&content(2 * CHUNK + 5)).await;
    let raw = std::fs::read(site.file(stored)).unwrap();
    assert_eq!(raw.len(), HEADER + 2 * FRAME + 5 + OVERHEAD);
    (site, stored, raw)
}

fn chunk(raw: &[u8], index: usize) -> &[u8] {
    let from = HEADER + index * FRAME;
    &raw[from..raw.len().min(from + FRAME)]
}

#[tokio::test]
async fn a_file_that_was_changed_is_not_read_to_its_end() {
    let (site, stored, raw) = site().await;
    let of_another = {
        let other = site.write(&content(2 * CHUNK + 6)).await;
        std::fs::read(site.file(other)).unwrap()
    };
    let header = &raw[..HEADER];
    let joined = |parts: &[&[u8]]| parts.concat();
    let flipped = |at: usize| {
        let mut raw = raw.clone();
        raw[at] ^= 1;
        raw
    };
    let own = |index| chunk(&raw, index);
    let cases = [
        ("empty", Vec::new()),
        ("header alone", header.to_vec()),
        ("another format", flipped(0)),
        ("another id", flipped(HEADER - 1)),
        ("first byte of a nonce", flipped(HEADER)),
        ("a byte of the second chunk", flipped(HEADER + FRAME + 99)),
        ("the last byte", flipped(raw.len() - 1)),
        ("cut by a byte", raw[..raw.len() - 1].to_vec()),
        ("cut by a chunk", joined(&[header, own(0), own(1)])),
        ("cut to a part of a tag", raw[..HEADER + FRAME + 9].to_vec()),
        ("the first chunk left out", joined(&[header, own(1), own(2)])),
        ("chunks exchanged", joined(&[header, own(1), own(0), own(2)])),
        ("a chunk twice", joined(&[header, own(0), own(0), own(2)])),
        ("a chunk more", joined(&[header, own(0), own(1), own(1), own(2)])),
        ("bytes more", joined(&[&raw, b"more"])),
        (
            "a chunk of another file",
            joined(&[header, chunk(&of_another, 0), own(1), own(2)]),
        ),
        ("another file of the folder", of_another.clone()),
    ];
    for (what, changed) in cases {
        std::fs::write(site.file(stored), changed).unwrap();
        let error = site.read(NAME, stored.sha256).await.unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{what}: {error:?}");
        assert!(
            error.to_string().contains(&stored.sha256.hex()),
            "{what}: {error}"
        );
    }
    std::fs::write(site.file(stored), &raw).unwrap();
    assert!(site.read(NAME, stored.sha256).await.unwrap().is_some());
}

#[tokio::test]
async fn a_file_of_another_folder_does_not_open() {
    let (site, stored, raw) = site().await;
    std::fs::create_dir_all(site.path("eksa-system/other")).unwrap();
    std::fs::write(site.path("eksa-system/other").join(stored.sha256.hex()), raw).unwrap();
    let error = site.read("eksa-system/other", stored.sha256).await.unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
}

/// A small file system; it goes with this value.
struct Tmpfs(std::path::PathBuf);

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_named_and_nothing_of_the_file_stays() {
    let site = Site::new();
    let root = site.path("");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"])
        .arg(&root)
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no tmpfs can be mounted here");
        return;
    }
    let tmpfs = Tmpfs(root);
    let mut writer = site.files.create(NAME).await.unwrap();
    let mut failed = None;
    for piece in content(6 * CHUNK).chunks(CHUNK / 2) {
        if let Err(error) = writer.write_all(piece).await {
            failed = Some(error);
            break;
        }
    }
    let failed = failed.expect("3 MiB do not hold 6");
    assert_eq!(failed.kind(), io::ErrorKind::StorageFull);
    assert!(failed.to_string().contains("make room"), "{failed}");
    drop(writer);

    let mut writer = site.files.create(NAME).await.unwrap();
    writer.write_all(&content(3 * CHUNK)).await.unwrap();
    let error = writer.finish().await.unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error:?}");
    assert_eq!(names(&site.path(NAME)), [""; 0]);
    site.write(&content(CHUNK)).await;
    drop(tmpfs);
}
