//! Writes cpio archives in the `newc` format, the one that Linux unpacks as initramfs
//! (kernel documentation, "initramfs buffer format").
//!
//! By hand: the format is one header, and the kernel's demands (alignment, parent directories first, an
//! archive that others may follow) are the point of it. Archives depend on nothing but their content: times
//! are zero, inode numbers count up.

use std::collections::BTreeSet;
use std::io::{self, Write};

/// Type bits of a mode.
const DIRECTORY: u32 = 0o040_000;
const CHARACTER_DEVICE: u32 = 0o020_000;
const REGULAR: u32 = 0o100_000;
/// Entry that ends an archive.
const TRAILER: &str = "TRAILER!!!";
/// Archives are padded to this, so that what follows is aligned.
const BLOCK: u64 = 512;

/// An archive being written.
#[derive(Debug)]
pub(crate) struct Archive<W> {
    out: W,
    written: u64,
    inode: u32,
    directories: BTreeSet<String>,
}

struct Entry<'a> {
    name: &'a str,
    mode: u32,
    links: u32,
    device: (u32, u32),
    data: &'a [u8],
}

impl<W: Write> Archive<W> {
    pub(crate) fn new(out: W) -> Self {
        Self {
            out,
            written: 0,
            inode: 0,
            directories: BTreeSet::new(),
        }
    }

    /// A directory with mode 0755 and those above it, each once.
    pub(crate) fn directory(&mut self, path: &str) -> io::Result<()> {
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            let Some(name) = path.get(..end).filter(|name| !name.is_empty()) else {
                continue;
            };
            if self.directories.insert(name.to_owned()) {
                self.entry(&Entry {
                    name,
                    mode: DIRECTORY | 0o755,
                    links: 2,
                    device: (0, 0),
                    data: &[],
                })?;
            }
        }
        Ok(())
    }

    /// A regular file; the directories above it come first.
    pub(crate) fn file(&mut self, path: &str, permissions: u32, data: &[u8]) -> io::Result<()> {
        self.parents(path)?;
        self.entry(&Entry {
            name: path,
            mode: REGULAR | permissions,
            links: 1,
            device: (0, 0),
            data,
        })
    }

    /// A character device.
    pub(crate) fn character_device(
        &mut self,
        path: &str,
        permissions: u32,
        device: (u32, u32),
    ) -> io::Result<()> {
        self.parents(path)?;
        self.entry(&Entry {
            name: path,
            mode: CHARACTER_DEVICE | permissions,
            links: 1,
            device,
            data: &[],
        })
    }

    /// Ends the archive and pads it to a whole block.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.inode = 0;
        self.entry(&Entry {
            name: TRAILER,
            mode: 0,
            links: 1,
            device: (0, 0),
            data: &[],
        })?;
        self.pad(BLOCK)?;
        Ok(self.out)
    }

    fn parents(&mut self, path: &str) -> io::Result<()> {
        path.rsplit_once('/')
            .map_or(Ok(()), |(above, _)| self.directory(above))
    }

    fn entry(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let size = u32::try_from(entry.data.len())
            .map_err(|_| io::Error::other("a file of 4 GiB or more does not fit cpio"))?;
        let name_size = entry.name.len() + 1;
        self.inode += 1;
        let header = format!(
            "070701{inode:08x}{mode:08x}{zero:08x}{zero:08x}{links:08x}{zero:08x}{size:08x}{zero:08x}{zero:08x}{major:08x}{minor:08x}{name_size:08x}{zero:08x}",
            inode = self.inode,
            mode = entry.mode,
            links = entry.links,
            major = entry.device.0,
            minor = entry.device.1,
            zero = 0,
        );
        self.put(header.as_bytes())?;
        self.put(entry.name.as_bytes())?;
        self.put(&[0])?;
        self.pad(4)?;
        self.put(entry.data)?;
        self.pad(4)
    }

    fn put(&mut self, octets: &[u8]) -> io::Result<()> {
        self.written += octets.len() as u64;
        self.out.write_all(octets)
    }

    fn pad(&mut self, to: u64) -> io::Result<()> {
        while !self.written.is_multiple_of(to) {
            self.put(&[0])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut archive = Archive::new(Vec::new());
        archive.file("lib/modules/a.ko", 0o644, b"module").unwrap();
        archive.file("lib/modules/b.ko", 0o644, b"another").unwrap();
        archive.character_device("dev/console", 0o600, (5, 1)).unwrap();
        archive.file("init", 0o755, b"#!").unwrap();
        archive.finish().unwrap()
    }

    #[test]
    fn headers_are_aligned_and_parents_come_once_and_first() {
        let octets = sample();
        assert_eq!(octets.len() % 512, 0);
        let text = String::from_utf8_lossy(&octets);
        let at: Vec<usize> = text.match_indices("070701").map(|(at, _)| at).collect();
        assert_eq!(
            at.len(),
            8,
            "lib, lib/modules, two modules, dev, console, init, trailer"
        );
        assert!(at.iter().all(|at| at % 4 == 0));
        assert!(octets.starts_with(b"07070100000001000041ed"));
        assert!(text.find("lib/modules\0").unwrap() < text.find("lib/modules/a.ko\0").unwrap());
    }

    #[test]
    fn the_same_content_gives_the_same_archive() {
        assert_eq!(sample(), sample());
    }

    #[test]
    fn cpio_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.cpio");
        std::fs::write(&file, sample()).unwrap();
        let shell = format!("cpio --quiet -itv < {}", file.display());
        let Ok(output) = std::process::Command::new("sh").args(["-c", &shell]).output() else {
            return;
        };
        if !output.status.success() {
            assert!(
                String::from_utf8_lossy(&output.stderr).contains("not found"),
                "{output:?}"
            );
            return;
        }
        let listing = String::from_utf8(output.stdout).unwrap();
        assert!(
            listing.contains("-rwxr-xr-x")
                && listing.contains("5,   1")
                && listing.contains("lib/modules/b.ko"),
            "{listing}"
        );
    }
}
