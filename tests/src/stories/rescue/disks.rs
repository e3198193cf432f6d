//! A system that has signatures and keys wherever a wipe has to find them, and what of it a disk still has.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;
use anyhow::ensure;

use crate::rack::Rack;
use crate::small_image;

const MIB: u64 = 1 << 20;
const SECTOR: u64 = 512;
const IMAGE_MIB: u64 = 378;
/// Sizes of the partitions: a file system with keys in its files, and three whose keys lie outside of files.
const FILES_MIB: u64 = 352;
const OTHER_MIB: u64 = 8;
/// Random bytes among the files, so that wiping them takes its time.
const DATABASE_MIB: u64 = 280;
const DATABASE: &str = "var/lib/etcd/member/snap/db";

/// Files with keys.
const FILES: [&str; 4] = [
    "etc/kubernetes/pki/ca.key",
    "etc/kubernetes/admin.conf",
    "etc/ssh/ssh_host_ed25519_key",
    DATABASE,
];
/// Partitions with a signature at this byte, and a key in their middle.
const OUTSIDE: [(&str, u64, &[u8]); 3] = [
    ("LVM", 512, b"LABELONE"),
    ("LUKS", 0, b"LUKS\xba\xbe"),
    ("xfs", 0, b"XFSB"),
];

/// Makes an image of the system.
pub(super) fn system(rack: &Rack) -> anyhow::Result<PathBuf> {
    let root = rack.file("root");
    for path in FILES {
        let path = root.join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, "")?;
    }
    let mut database = File::create(root.join(DATABASE))?;
    std::io::copy(
        &mut File::open("/dev/urandom")?.take(DATABASE_MIB * MIB),
        &mut database,
    )?;
    for path in FILES {
        let mut file = OpenOptions::new().append(true).open(root.join(path))?;
        file.write_all(key(path).repeat(100).as_bytes())?;
    }
    let image = small_image::new(rack, "system.raw", IMAGE_MIB, &partitions())?;
    small_image::boot_code(&image)?;
    small_image::file_system_of(&image, FILES_MIB, Some(&root))?;
    for (number, (name, at, magic)) in (0..).zip(OUTSIDE) {
        small_image::write_at(&image, magic, start(number) + at)?;
        small_image::write_at(&image, key(name).as_bytes(), start(number) + OTHER_MIB * MIB / 2)?;
    }
    Ok(image)
}

/// Puts the image on a disk as it is, which leaves the second GPT in the middle of the disk.
pub(super) fn copied(image: &Path, disk: &Path) -> anyhow::Result<()> {
    let mut disk = OpenOptions::new().write(true).open(disk)?;
    std::io::copy(&mut File::open(image)?, &mut disk)?;
    Ok(())
}

/// An installed disk has everything.
pub(super) fn complete(disk: &Path) -> anyhow::Result<()> {
    let found: BTreeSet<String> = found(disk)?.into_iter().collect();
    let signatures = signatures(File::open(disk)?.metadata()?.len());
    let names = signatures.into_iter().map(|(name, ..)| name);
    let keys = patterns().into_iter().map(|(name, _)| name);
    let lacks: Vec<String> = names.chain(keys).filter(|name| !found.contains(name)).collect();
    ensure!(lacks.is_empty(), "{} lacks {lacks:?}", disk.display());
    Ok(())
}

/// Nothing is left.
pub(super) fn clean(disk: &Path) -> anyhow::Result<()> {
    let found = found(disk)?;
    ensure!(found.is_empty(), "{} still has {found:?}", disk.display());
    Ok(())
}

/// Which signatures and keys a disk has.
pub(super) fn found(disk: &Path) -> anyhow::Result<Vec<String>> {
    let file = File::open(disk)?;
    let mut found = BTreeSet::new();
    for (name, at, magic) in signatures(file.metadata()?.len()) {
        let mut bytes = vec![0; magic.len()];
        file.read_exact_at(&mut bytes, at)?;
        if bytes == magic {
            found.insert(name);
        }
    }
    let (names, texts): (Vec<String>, Vec<String>) = patterns().into_iter().unzip();
    for key in AhoCorasick::new(texts)?.stream_find_iter(file) {
        found.extend(names.get(key?.pattern().as_usize()).cloned());
    }
    Ok(found.into_iter().collect())
}

/// Name, place and bytes of what a firmware or a kernel knows the parts of a disk of this size by.
fn signatures(size: u64) -> Vec<(String, u64, &'static [u8])> {
    let whole: [(&str, u64, &[u8]); 5] = [
        ("boot code", 0, &small_image::BOOT_CODE),
        ("boot signature", 510, &[0x55, 0xaa]),
        ("GPT", SECTOR, b"EFI PART"),
        ("ext4", small_image::FIRST + 1024 + 56, &[0x53, 0xef]),
        ("second GPT", size - SECTOR, b"EFI PART"),
    ];
    let outside = (0..).zip(OUTSIDE);
    let outside = outside.map(|(number, (name, at, magic))| (name, start(number) + at, magic));
    whole
        .into_iter()
        .chain(outside)
        .map(|(name, at, magic)| (name.to_owned(), at, magic))
        .collect()
}

/// Name and text of every key.
fn patterns() -> Vec<(String, String)> {
    let places = FILES.into_iter().chain(OUTSIDE.map(|(name, ..)| name));
    places
        .map(|place| (format!("the key in {place}"), key(place)))
        .collect()
}

/// A text that stands nowhere else.
fn key(place: &str) -> String {
    format!("-----BEGIN PRIVATE KEY----- of the story rescue, in {place}\n")
}

/// First byte of a partition behind the file system.
fn start(number: u64) -> u64 {
    small_image::FIRST + (FILES_MIB + number * OTHER_MIB) * MIB
}

fn partitions() -> String {
    let line = |start: u64, mib: u64| format!("start={}, size={}\n", start / SECTOR, mib * MIB / SECTOR);
    let outside = (0..)
        .zip(OUTSIDE)
        .map(|(number, _)| line(start(number), OTHER_MIB));
    let first = line(small_image::FIRST, FILES_MIB);
    format!("label: gpt\n{first}{}", outside.collect::<String>())
}
