//! The boot program of each processor architecture (IANA processor architecture types).

/// Boot program of a processor architecture. 32-bit UEFI has none: a 64-bit binary would not run there.
pub(crate) const fn program_for(arch: u16) -> Option<&'static str> {
    match arch {
        0..=5 | 20 => Some("undionly.kpxe"),
        // Some x86-64 firmware calls itself EBC (9).
        7 | 9 | 16 => Some("snponly.efi"),
        11 | 19 => Some("snp-arm64.efi"),
        _ => None,
    }
}
