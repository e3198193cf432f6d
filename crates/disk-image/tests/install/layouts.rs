//! Images in the layouts that image-builder gives to what it makes for EKS Anywhere, without a manifest: what is found in them.

use std::io::Cursor;

use disk_image::{ImageReader, measure};
use gptman::{GPT, GPTPartitionEntry};

use crate::{ESP, LINUX, MIB};

/// BIOS boot partition, 21686148-6449-6E6F-744E-656564454649.
const BIOS_BOOT: [u8; 16] = *b"Hah!IdontNeedEFI";
/// Linux LVM, E6D6D379-F507-44C2-A23C-238F2A3DF928.
const LVM: [u8; 16] = [
    0x79, 0xd3, 0xd6, 0xe6, 0x07, 0xf5, 0xc2, 0x44, 0xa2, 0x3c, 0x23, 0x8f, 0x2a, 0x3d, 0xf9, 0x28,
];

fn boot_code(mut image: Vec<u8>) -> Vec<u8> {
    image[0] = 0xeb;
    image
}

/// Partitions of a GPT: type, and size in MiB.
fn gpt(partitions: &[([u8; 16], u64)]) -> Vec<u8> {
    let mut file = Cursor::new(vec![0; 32 * MIB]);
    GPT::write_protective_mbr_into(&mut file, 512).unwrap();
    let mut table = GPT::new_from(&mut file, 512, [7; 16]).unwrap();
    let mut next = 2048;
    for (number, (kind, size)) in (1_u32..).zip(partitions) {
        let sectors = size * 2048;
        table[number] = GPTPartitionEntry {
            partition_type_guid: *kind,
            unique_partition_guid: [u8::try_from(number).unwrap(); 16],
            starting_lba: next,
            ending_lba: next + sectors - 1,
            attribute_bits: 0,
            partition_name: "".into(),
        };
        next += sectors;
    }
    table.write_into(&mut file).unwrap();
    boot_code(file.into_inner())
}

/// Partitions of a master boot record: type, and size in MiB.
fn mbr(partitions: &[(u8, u32)]) -> Vec<u8> {
    let mut image = vec![0; 32 * MIB];
    let mut next = 2048_u32;
    for (at, (kind, size)) in partitions.iter().enumerate() {
        let entry = &mut image[446 + at * 16..][..16];
        entry[4] = *kind;
        entry[8..12].copy_from_slice(&next.to_le_bytes());
        entry[12..16].copy_from_slice(&(size * 2048).to_le_bytes());
        next += size * 2048;
    }
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    boot_code(image)
}

#[test]
fn the_root_file_system_is_found_without_a_manifest() {
    for (name, image, root, esp) in [
        (
            "Ubuntu for BIOS",
            gpt(&[(BIOS_BOOT, 1), (LINUX, 20)]),
            Some(2),
            None,
        ),
        ("Ubuntu for UEFI", gpt(&[(ESP, 4), (LINUX, 20)]), Some(2), Some(1)),
        (
            "Ubuntu's cloud image",
            gpt(&[(LINUX, 16), (BIOS_BOOT, 1), (ESP, 4), (LINUX, 4)]),
            Some(1),
            Some(3),
        ),
        (
            "Red Hat for UEFI, with /boot apart",
            gpt(&[(ESP, 4), (LINUX, 4), (LINUX, 16)]),
            Some(3),
            Some(1),
        ),
        ("Red Hat for BIOS", mbr(&[(0x83, 24)]), Some(1), None),
        (
            "Red Hat for BIOS, with /boot apart",
            mbr(&[(0x83, 4), (0x83, 16), (0x82, 4)]),
            Some(2),
            None,
        ),
        // The family says where it is.
        ("LVM", gpt(&[(ESP, 4), (LVM, 20)]), None, Some(1)),
        ("no Linux", mbr(&[(0x07, 24)]), None, None),
    ] {
        let reader = ImageReader::open(Cursor::new(image)).unwrap();
        let manifest = measure(reader, "users-own", &mut |_| {}).unwrap();
        assert_eq!(
            (manifest.root_partition, manifest.esp_partition),
            (root, esp),
            "{name}"
        );
        assert_eq!((manifest.os_family, manifest.kubernetes_version), (None, None));
    }
}
