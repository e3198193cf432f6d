//! The boot files that every appliance has.

/// A boot loader that firmware asks for, with its size.
pub(super) const LOADER: (&str, usize) = ("undionly.kpxe", 100 << 10);

/// What every appliance has.
pub(super) const BOOT_FILES: [(&str, usize); 5] = [
    ("vmlinuz", 8 << 20),
    ("initramfs", 32 << 20),
    LOADER,
    ("snponly.efi", 300 << 10),
    ("ipxe.efi", 1 << 20),
];
