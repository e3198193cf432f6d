//! Names of the environment variables by which actions get their settings, and paths that both sides count on.
//!
//! Those of `image2disk`, `writefile` and `kexec` are Tinkerbell's; the others are ours.

/// `image2disk`: URL of the image; the appliance puts its own in place of the template's.
pub const IMG_URL: &str = "IMG_URL";
/// `image2disk`: digest of the served file (`sha256:HEX`).
pub const IMG_DIGEST: &str = "IMG_DIGEST";
/// `image2disk`: digest of the raw disk (`sha256:HEX`); with the size it lets a finished write be recognised.
pub const IMG_RAW_DIGEST: &str = "IMG_RAW_DIGEST";
/// `image2disk`: bytes of the raw disk.
pub const IMG_RAW_SIZE: &str = "IMG_RAW_SIZE";
/// `image2disk`: `renew` gives disk and partitions new GUIDs, so that two disks with this image can be told apart, and
/// puts them into the places that `GUID_REFERENCES` lists; `keep` leaves the image's own. Without this setting
/// the manifest of an image that the appliance serves decides, by whether it lists its references; others keep theirs.
pub const PARTITION_GUIDS: &str = "PARTITION_GUIDS";
/// `image2disk`: where the image refers to its partitions by GUID: `PARTITION@OFFSET`, separated by commas, as in
/// `guidReferences` of its manifest.
pub const GUID_REFERENCES: &str = "GUID_REFERENCES";
/// A disk (`image2disk`, `reboot`, `handover`, `wipe`, `renew-certificates`) or a partition (`writefile`, `seed`): `/dev/NAME`, or a name under
/// `/dev/disk/by-id` or `/dev/disk/by-path`. The action carries the identity of the disk that the name stands for.
pub const DEST_DISK: &str = "DEST_DISK";
/// `writefile`, `seed`, `kexec`, `handover`: type of the file system, such as `ext4`, or [`ANY_FILE_SYSTEM`].
pub const FS_TYPE: &str = "FS_TYPE";
/// Value of [`FS_TYPE`] that has the agent look: ext4, xfs or vfat.
pub const ANY_FILE_SYSTEM: &str = "auto";
/// `writefile`: absolute path in the file system.
pub const DEST_PATH: &str = "DEST_PATH";
/// `writefile`: what the file holds.
pub const CONTENTS: &str = "CONTENTS";
/// `writefile`: numeric owner.
pub const UID: &str = "UID";
/// `writefile`: numeric group.
pub const GID: &str = "GID";
/// `writefile`: octal mode of the file.
pub const MODE: &str = "MODE";
/// `writefile`: octal mode of directories that are made.
pub const DIRMODE: &str = "DIRMODE";
/// `seed`: NoCloud `meta-data`.
pub const META_DATA: &str = "META_DATA";
/// `seed`: NoCloud `user-data`.
pub const USER_DATA: &str = "USER_DATA";
/// `seed`: NoCloud `network-config`.
pub const NETWORK_CONFIG: &str = "NETWORK_CONFIG";
/// `seed`: the script that pulls the first-boot data. With it key and certificate are left; without it nothing secret is.
pub const FIRST_BOOT_SCRIPT: &str = "FIRST_BOOT_SCRIPT";
/// `kexec`, `handover`: partition with the installed root or boot file system.
pub const BLOCK_DEVICE: &str = "BLOCK_DEVICE";
/// `kexec`, `handover`: kernel in it; found from the boot loader's configuration when absent.
pub const KERNEL_PATH: &str = "KERNEL_PATH";
/// `kexec`, `handover`: initramfs in it.
pub const INITRD_PATH: &str = "INITRD_PATH";
/// `kexec`, `handover`: kernel arguments.
pub const CMD_LINE: &str = "CMD_LINE";
/// `kexec`, `handover`: boot loader configuration to read, `/boot/grub/grub.cfg` when absent.
pub const GRUBCFG_PATH: &str = "GRUBCFG_PATH";
/// `handover`: `auto`, `kexec` or `reboot`.
pub const HANDOVER: &str = "HANDOVER";
/// `inspect`: minutes that the installer stays up; 60 when absent.
pub const HOLD_MINUTES: &str = "HOLD_MINUTES";
/// `renew-certificates`: the shell text that renews them; its first argument is `NODE_NAME` when the kubelet's certificate has
/// ended as well, and empty otherwise.
pub const RENEWAL_SCRIPT: &str = "RENEWAL_SCRIPT";
/// `renew-certificates`: name of the node.
pub const NODE_NAME: &str = "NODE_NAME";

/// Facts in a report: `bios` or `uefi`.
pub const FACT_FIRMWARE: &str = "firmware";
/// Stable path of the disk that was written.
pub const FACT_DISK: &str = "disk";
/// Drive number that a PC BIOS gives to that disk, such as `0x80`; absent where the BIOS does not tell it.
pub const FACT_BIOS_DRIVE: &str = "bios_drive";
/// Unique GUID of the EFI system partition.
pub const FACT_ESP_GUID: &str = "esp_guid";
/// Digest of the raw image on the disk, when it is known.
pub const FACT_IMAGE_DIGEST: &str = "image_digest";
/// How the machine leaves the installer: `kexec` or `reboot`.
pub const FACT_HANDOVER: &str = "handover";
/// SHA-256 (`sha256:HEX`) of the certificate of the API server that was put in place.
pub const FACT_API_SERVER_CERTIFICATE: &str = "api_server_certificate";
/// SHA-256 (`sha256:HEX`) of the certificate of etcd that was put in place.
pub const FACT_ETCD_CERTIFICATE: &str = "etcd_certificate";

/// In the installer: the site CA, PEM; from a cpio archive that the appliance appends when serving.
pub const SITE_CA_PATH: &str = "/etc/gantry/site-ca.pem";
/// In the installer: when its initramfs was built, RFC 3339. No certificate is checked at an earlier time.
pub const BUILD_TIME_PATH: &str = "/etc/gantry/build-time";

/// In the installed system: directory of what the first-boot script needs, for root only: `key.pem`,
/// `certificate.pem`, `ca.pem` and `first-boot.json` (`{"endpoints": ["https://HOST:PORT"], "siteName": "NAME"}`).
pub const FIRST_BOOT_DIRECTORY: &str = "/etc/gantry/first-boot";
/// In the installed system: the script itself, run by cloud-init at every boot; it knows when it is done, so a reset in
/// the middle is followed up.
pub const FIRST_BOOT_SCRIPT_PATH: &str = "/var/lib/cloud/scripts/per-boot/gantry-first-boot";
/// In the installed system: cloud-init's NoCloud seed.
pub const SEED_DIRECTORY: &str = "/var/lib/cloud/seed/nocloud";
