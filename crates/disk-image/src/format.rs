//! What a file is, by its first bytes. Names and MIME types are not believed.
#![deny(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use resources::Compression;

use crate::Error;

/// Bytes that [`detect`] wants to see, fewer if the file is shorter.
pub(crate) const PROBE: usize = 64;

/// Formats that are recognised in order to be refused by name.
const REFUSED: [(&[u8], &str); 8] = [
    (b"BZh", "bzip2-compressed"),
    (b"QFI\xfb", "qcow2"),
    (b"KDMV", "vmdk"),
    (b"conectix", "vhd"),
    (b"vhdxfile", "vhdx"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x04\x22\x4d\x18", "lz4-compressed"),
    (b"\x7fELF", "a program"),
];

/// Format by content. What is none of the known formats is a raw disk.
///
/// # Errors
/// When the file is empty or of a format that is not taken.
pub fn detect(head: &[u8]) -> Result<Compression, Error> {
    if head.is_empty() {
        return Err(Error::Empty);
    }
    if let Some((_, format)) = REFUSED.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(Error::UnsupportedFormat { format });
    }
    if head.starts_with(b"<!DOCTYPE") || head.starts_with(b"<html") {
        return Err(Error::UnsupportedFormat { format: "a web page" });
    }
    Ok(match head {
        [0x1f, 0x8b, 8, ..] => Compression::Gzip,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        // A skippable frame may come first (RFC 8878, 3.1.2).
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        _ => Compression::Raw,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides() {
        assert_eq!(detect(&[0x1f, 0x8b, 8, 0]).unwrap(), Compression::Gzip);
        assert_eq!(detect(&[0x28, 0xb5, 0x2f, 0xfd]).unwrap(), Compression::Zstd);
        assert_eq!(detect(b"\xfd7zXZ\0\0").unwrap(), Compression::Xz);
        assert_eq!(detect(&[0x5e, 0x2a, 0x4d, 0x18]).unwrap(), Compression::Zstd);
        assert_eq!(detect(&[0xeb, 0x63]).unwrap(), Compression::Raw);
        assert!(matches!(detect(&[]), Err(Error::Empty)));
        for (magic, name) in REFUSED {
            let error = detect(magic).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
