//! The layout of a node's disk, and what BIOS needs to start GRUB from it.
//!
//! | number | at sector | size | holds |
//! |---|---|---|---|
//! | 14 | 2048 | 1 MiB | GRUB's core image for BIOS |
//! | 1 | 4096 | 64 MiB | EFI system partition, label `GANTRY-ESP`, `\EFI\BOOT\BOOTX64.EFI` |
//! | 2 | 135168 | the rest | root, ext4, label `gantry-root` for people |
//!
//! Root is number 2, as on EKS Anywhere's Ubuntu images, so templates that name partition 2 work; and it is the
//! last on the disk, so it can grow.
//!
//! A machine may have several disks with this image. GRUB reads its configuration from the disk that it was started from;
//! kernel and fstab find root by the partition's GUID. The image has a fixed one, [`ROOT_GUID`], and its manifest lists
//! where that is written down, so that each installation gives its disk GUIDs of its own.

use std::path::Path;

/// Bytes of a sector.
pub(crate) const SECTOR: u64 = 512;
/// Number of the root partition.
pub(crate) const ROOT_NUMBER: u32 = 2;
/// Number of the EFI system partition.
pub(crate) const ESP_NUMBER: u32 = 1;
/// GUID of the root partition in the image.
pub(crate) const ROOT_GUID: &str = "0d3c5f9a-71e4-4b28-9c06-5ab1d2e7f384";
/// Label of the root file system. Nothing boots by it: another disk may have the same.
pub(crate) const ROOT_LABEL: &str = "gantry-root";

const BIOS_START: u64 = 2048;
const BIOS_SECTORS: u64 = 2048;
const ESP_START: u64 = 4096;
/// Sectors of the EFI system partition.
pub(crate) const ESP_SECTORS: u64 = 131_072;
const ROOT_START: u64 = 135_168;
/// Room for the backup table, a whole MiB so that sizes stay round.
const TAIL: u64 = 1 << 20;
const MIB: u64 = 1 << 20;

/// Where GRUB's own block list stands in the first sector of its core image.
const BLOCK_LIST: usize = 0x1f4;
/// Segment that the rest of the core image is loaded to.
const LOAD_SEGMENT: u16 = 0x820;
/// Boot code of the MBR ends where the disk signature begins.
const BOOT_CODE: usize = 440;
/// Where the boot code keeps the sector of the core image.
const KERNEL_SECTOR: usize = 0x5c;
/// A jump that the boot code takes when the drive number from the BIOS must be corrected; replaced by no-ops.
const DRIVE_CHECK: usize = 0x66;

/// Byte offset of the EFI system partition.
pub(crate) const fn esp_offset() -> u64 {
    ESP_START * SECTOR
}

/// Byte offset of the root partition.
pub(crate) const fn root_offset() -> u64 {
    ROOT_START * SECTOR
}

/// Byte offset of the BIOS boot partition.
pub(crate) const fn bios_offset() -> u64 {
    BIOS_START * SECTOR
}

/// Size of a disk whose root file system has `root` bytes, a multiple of 1 MiB.
pub(crate) const fn disk_size(root: u64) -> u64 {
    root_offset() + root.next_multiple_of(MIB) + TAIL
}

/// Input of `sfdisk` for a disk whose root file system has `root` bytes.
pub(crate) fn partition_table(root: u64) -> String {
    let sectors = root.next_multiple_of(MIB) / SECTOR;
    format!(
        "label: gpt\nunit: sectors\nfirst-lba: 34\n\
         14: start={BIOS_START}, size={BIOS_SECTORS}, type=21686148-6449-6E6F-744E-656564454649, name=\"bios\"\n\
         {ESP_NUMBER}: start={ESP_START}, size={ESP_SECTORS}, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=\"esp\"\n\
         {ROOT_NUMBER}: start={ROOT_START}, size={sectors}, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, \
         uuid={ROOT_GUID}, name=\"root\"\n"
    )
}

/// Kernel arguments of the installed system. Where it panics before sysctl.d counts, nobody is there to reset it.
pub(crate) fn kernel_arguments() -> String {
    format!("root=PARTUUID={ROOT_GUID} ro panic=10 console=tty0 console=ttyS0,115200n8")
}

/// GRUB's boot code for the MBR: the first 440 bytes of `boot.img`, told where the core image is.
pub(crate) fn boot_code(boot_image: &[u8]) -> Option<[u8; BOOT_CODE]> {
    let mut code: [u8; BOOT_CODE] = boot_image.get(..BOOT_CODE)?.try_into().ok()?;
    put(&mut code, KERNEL_SECTOR, &BIOS_START.to_le_bytes())?;
    put(&mut code, DRIVE_CHECK, &[0x90, 0x90])?;
    Some(code)
}

/// GRUB's core image, whose first sector is told where the others are. `None` if it does not fit its partition.
pub(crate) fn core_image(core: &[u8]) -> Option<Vec<u8>> {
    let mut core = core.to_vec();
    core.resize(core.len().next_multiple_of(usize::try_from(SECTOR).ok()?), 0);
    let sectors = core.len() as u64 / SECTOR;
    if !(2..=BIOS_SECTORS).contains(&sectors) {
        return None;
    }
    let rest = u16::try_from(sectors - 1).ok()?;
    put(&mut core, BLOCK_LIST, &(BIOS_START + 1).to_le_bytes())?;
    put(&mut core, BLOCK_LIST + 8, &rest.to_le_bytes())?;
    put(&mut core, BLOCK_LIST + 10, &LOAD_SEGMENT.to_le_bytes())?;
    Some(core)
}

fn put(octets: &mut [u8], at: usize, value: &[u8]) -> Option<()> {
    octets.get_mut(at..at + value.len())?.copy_from_slice(value);
    Some(())
}

/// Writes bytes into an existing file at an offset, leaving runs of zero sectors as holes.
pub(crate) fn write_at(image: &Path, offset: u64, octets: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().write(true).open(image)?;
    let mut at = offset;
    for block in octets.chunks(4096) {
        if block.iter().any(|&octet| octet != 0) {
            file.write_all_at(block, at)?;
        }
        at += block.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_follow_each_other_and_leave_room_for_the_backup_table() {
        assert_eq!(BIOS_START + BIOS_SECTORS, ESP_START);
        assert_eq!(ESP_START + ESP_SECTORS, ROOT_START);
        let root = 900 * MIB + 1;
        assert_eq!(disk_size(root) % MIB, 0);
        assert!(disk_size(root) >= root_offset() + root + 33 * SECTOR);
        assert!(partition_table(root).contains(&format!("2: start=135168, size={}", 901 * MIB / SECTOR)));
    }

    #[test]
    fn boot_code_points_at_the_core_image() {
        let code = boot_code(&[0xee; 512]).unwrap();
        assert_eq!(code[0x5c..0x64], 2048u64.to_le_bytes());
        assert_eq!(code[0x66..0x68], [0x90, 0x90]);
        assert!(code[..0x5c].iter().all(|&octet| octet == 0xee));
        assert_eq!(boot_code(&[0; 100]), None);
    }

    #[test]
    fn the_core_image_lists_its_own_sectors() {
        let core = core_image(&[1; 512 * 60 + 7]).unwrap();
        assert_eq!(core.len(), 512 * 61);
        assert_eq!(core[0x1f4..0x1fc], 2049u64.to_le_bytes());
        assert_eq!(core[0x1fc..0x1fe], 60u16.to_le_bytes());
        assert_eq!(core[0x1fe..0x200], 0x820u16.to_le_bytes());
        assert_eq!(core_image(&vec![1; 2 << 20]), None);
        assert_eq!(core_image(&[1; 512]), None);
    }
}
