//! Whether a program needs a dynamic loader, read from its ELF program headers (64 bit, little endian).

use anyhow::{Context, bail};

const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;

/// What makes the program dynamic: an interpreter or a needed library. `None` when it is static.
pub(crate) fn dynamic_need(file: &[u8]) -> anyhow::Result<Option<&'static str>> {
    if file.get(..6) != Some(b"\x7fELF\x02\x01") {
        bail!("no 64-bit little-endian ELF file");
    }
    let table = usize::try_from(number::<8>(file, 0x20)?)?;
    let size = usize::try_from(number::<2>(file, 0x36)?)?;
    let count = usize::try_from(number::<2>(file, 0x38)?)?;
    for index in 0..count {
        let header = table + index * size;
        match u32::try_from(number::<4>(file, header)?)? {
            PT_INTERP => return Ok(Some("an interpreter")),
            PT_DYNAMIC if needs_library(file, header)? => return Ok(Some("a needed library")),
            _ => {}
        }
    }
    Ok(None)
}

/// A static position-independent program has a dynamic section too, but needs nothing.
fn needs_library(file: &[u8], header: usize) -> anyhow::Result<bool> {
    let start = usize::try_from(number::<8>(file, header + 8)?)?;
    let length = usize::try_from(number::<8>(file, header + 0x20)?)?;
    for entry in (start..start + length).step_by(16) {
        match number::<8>(file, entry)? {
            0 => return Ok(false),
            DT_NEEDED => return Ok(true),
            _ => {}
        }
    }
    Ok(false)
}

fn number<const WIDTH: usize>(file: &[u8], at: usize) -> anyhow::Result<u64> {
    let bytes = file.get(at..at + WIDTH).context("ELF file ends too early")?;
    Ok(bytes
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file with one program header of that type and that first dynamic tag.
    fn elf(kind: u8, tag: u8) -> Vec<u8> {
        let mut file = vec![0; 0x40 + 0x38 + 32];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[0x20] = 0x40;
        file[0x36] = 0x38;
        file[0x38] = 1;
        file[0x40] = kind;
        file[0x48] = 0x78;
        file[0x60] = 32;
        file[0x78] = tag;
        file
    }

    #[test]
    fn kinds_of_programs() {
        assert_eq!(dynamic_need(&elf(1, 0)).unwrap(), None);
        assert_eq!(dynamic_need(&elf(2, 6)).unwrap(), None);
        assert_eq!(dynamic_need(&elf(2, 1)).unwrap(), Some("a needed library"));
        assert_eq!(dynamic_need(&elf(3, 0)).unwrap(), Some("an interpreter"));
    }

    #[test]
    fn broken_files_are_errors() {
        assert!(dynamic_need(b"#!/bin/sh\n").is_err());
        assert!(dynamic_need(&elf(2, 1)[..0x50]).is_err());
    }
}
