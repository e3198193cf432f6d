//! What becomes of the GUIDs in an image, and of the files that refer to them.

use std::io::Cursor;

use disk_image::{
    Error, Expected, Identities, ImageReader, Ungated, WriteJob, Written, gpt, install, measure,
};
use resources::GuidReference;

use super::{DISK, MIB, contents, disk, image};

/// Root partition of the image, as text.
const ROOT: &str = "02020202-0202-0202-0202-020202020202";
/// Its EFI system partition.
const ESP: &str = "01010101-0101-0101-0101-010101010101";

/// Where a system refers to its partitions: one file a kind, the last one across the border of two blocks.
const FILES: [(&str, usize); 5] = [
    (
        "/etc/fstab: PARTUUID={ROOT} / ext4 defaults 0 1\nPARTUUID={ESP} /boot/efi vfat",
        4 * MIB,
    ),
    (
        "/etc/default/grub.d/40-force-partuuid.cfg: GRUB_FORCE_PARTUUID={ROOT}",
        5 * MIB,
    ),
    (
        "/boot/grub/grub.cfg: linux /vmlinuz root=PARTUUID={ROOT} ro",
        6 * MIB,
    ),
    ("/loader/entries/a.conf: options root=PARTUUID={ROOT}", 7 * MIB),
    ("/etc/kernel/cmdline: root=PARTUUID={ROOT}", 9 * MIB - 45),
];

/// The image with those files, and every place where they name a partition.
fn referring() -> (Vec<u8>, Vec<GuidReference>) {
    let mut image = image();
    for (text, at) in FILES {
        let text = text.replace("{ROOT}", ROOT).replace("{ESP}", ESP);
        image[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    let found = |partition, text: &str| {
        let places = image
            .windows(text.len())
            .enumerate()
            .filter(|(_, window)| *window == text.as_bytes());
        places
            .map(|(at, _)| GuidReference {
                partition,
                offset: at as u64,
            })
            .collect::<Vec<_>>()
    };
    let references = [found(1, ESP), found(2, ROOT)].concat();
    assert_eq!(references.len(), FILES.len() + 1);
    (image, references)
}

fn write_as(
    file: &[u8],
    target: &disk_image::DiskTarget,
    identities: Identities<'_>,
) -> Result<Written, Error> {
    let open = || ImageReader::open(Cursor::new(file.to_vec()));
    let manifest = measure(open()?, "test", &mut |_| {})?;
    let job = WriteJob {
        expected: Expected {
            digest: None,
            raw_digest: Some(manifest.raw_digest),
            raw_size: Some(manifest.raw_size),
        },
        identities,
        firmware: None,
    };
    install(open()?, target, &job, &Ungated)
}

fn text_of(disk: &[u8], at: usize) -> String {
    let end = disk[at..].iter().position(|byte| !byte.is_ascii() || *byte == 0);
    String::from_utf8_lossy(&disk[at..at + end.unwrap_or(200).min(200)]).into_owned()
}

#[test]
fn kept_identities_leave_every_reference_right() {
    let (image, _) = referring();
    let directory = tempfile::tempdir().unwrap();
    let target = disk(directory.path(), DISK);
    write_as(&image, &target, Identities::Keep).unwrap();
    let found = contents(&target);
    let table = gpt::parse(&found).unwrap();
    assert_eq!(table.disk_guid, [7; 16]);
    assert_eq!(gpt::guid_text(&table.root().unwrap().guid), ROOT);
    assert_eq!(gpt::guid_text(&table.esp().unwrap().guid), ESP);
    assert_eq!(found[34 * 512..image.len()], image[34 * 512..]);
}

#[test]
fn renewed_identities_are_in_every_reference() {
    let (image, references) = referring();
    let mut roots = Vec::new();
    for seed in [&b"first"[..], b"second"] {
        let identities = Identities::Renew {
            seed,
            references: &references,
        };
        let directory = tempfile::tempdir().unwrap();
        let target = disk(directory.path(), DISK);
        assert!(!write_as(&image, &target, identities).unwrap().already);
        let found = contents(&target);
        let table = gpt::parse(&found).unwrap();
        let root = gpt::guid_text(&table.root().unwrap().guid);
        let esp = gpt::guid_text(&table.esp().unwrap().guid);
        assert_ne!(root, ROOT);
        for (text, at) in FILES {
            let expected = text.replace("{ROOT}", &root).replace("{ESP}", &esp);
            assert!(
                text_of(&found, at).starts_with(&expected),
                "{expected:?} is not in {:?}",
                text_of(&found, at)
            );
        }
        // The finished disk is recognised; one that still has the image's text in it is not.
        assert!(write_as(&image, &target, identities).unwrap().already);
        let plain = Identities::Renew {
            seed,
            references: &[],
        };
        assert!(!write_as(&image, &target, plain).unwrap().already);
        assert!(!write_as(&image, &target, identities).unwrap().already);
        roots.push(root);
    }
    assert_ne!(roots.first(), roots.last(), "another write, another identity");
}

#[test]
fn a_list_of_references_that_does_not_fit_leaves_a_disk_that_cannot_boot() {
    let (image, references) = referring();
    let reference = |partition, offset| GuidReference { partition, offset };
    let first = references.first().unwrap();
    for wrong in [
        reference(first.partition, first.offset + 1),
        reference(2, first.offset),
        reference(9, first.offset),
        reference(2, 20),
        reference(2, image.len() as u64 - 10),
        reference(2, u64::MAX),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let target = disk(directory.path(), DISK);
        let identities = Identities::Renew {
            seed: b"seed",
            references: &[wrong],
        };
        let error = write_as(&image, &target, identities).unwrap_err();
        assert!(matches!(error, Error::GuidReference { .. }), "{wrong}: {error}");
        assert!(gpt::parse(&contents(&target)).is_none(), "{wrong}");
    }
}
