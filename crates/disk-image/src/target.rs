//! Where an image is written to: a disk, or a file in its place.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::FallocateFlags;
use nix::libc;

use crate::{Error, block_ioctl};

/// Alignment of buffers, offsets and lengths that lets a disk take them without a copy.
pub(crate) const ALIGNMENT: usize = 4096;

/// What a write needs of a disk. Tests put a failing disk in its place.
pub trait Target: Sync {
    /// Name for messages.
    fn path(&self) -> &Path;
    /// Bytes.
    fn size(&self) -> u64;
    /// Logical sector size.
    fn sector_size(&self) -> u32;
    /// Reads `buffer.len()` bytes: from the medium, not from the page cache, when the buffer is aligned to 4096 bytes
    /// and offset and length are multiples of the sector size.
    ///
    /// # Errors
    /// As the disk says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `data`.
    ///
    /// # Errors
    /// As the disk says.
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()>;
    /// Makes a stretch read as zeros.
    ///
    /// # Errors
    /// As the disk says.
    fn zero(&self, offset: u64, length: u64) -> io::Result<()>;
    /// Has the disk itself make a stretch read as zeros, without a transfer. On an error the stretch is as it was, or zeros
    /// in part.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] where it can't, else as the disk says.
    fn zero_by_itself(&self, offset: u64, length: u64) -> io::Result<()>;
    /// Lets the disk give up what it holds in a stretch; what is read there afterwards is not known.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] where it can't, else as the disk says.
    fn discard(&self, offset: u64, length: u64) -> io::Result<()>;
    /// Returns when everything written is durable.
    ///
    /// # Errors
    /// As the disk says.
    fn sync(&self) -> io::Result<()>;
    /// Makes the kernel see the partitions.
    ///
    /// # Errors
    /// As the kernel says.
    fn reread_partitions(&self) -> io::Result<()>;
}

/// A block device that nothing else uses, or a regular file.
#[derive(Debug)]
pub struct DiskTarget {
    path: PathBuf,
    /// Goes around the page cache, so that reading back reads the disk; holds a block device for exclusive use. `None`
    /// where the file system can't.
    direct: Option<File>,
    /// For pieces that are not aligned.
    buffered: File,
    size: u64,
    sector_size: u32,
    block_device: bool,
}

impl DiskTarget {
    /// Opens a disk for writing. A device that is mounted or otherwise in use is refused by the kernel. Never makes a
    /// file: a mistyped disk is an error.
    ///
    /// # Errors
    /// When the disk can't be opened.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |operation, source| Error::Disk {
            disk: path.to_owned(),
            operation,
            offset: 0,
            source,
        };
        let buffered = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|source| failed("opening", source))?;
        let metadata = buffered
            .metadata()
            .map_err(|source| failed("examining", source))?;
        let block_device = metadata.file_type().is_block_device();
        let exclusive = if block_device { libc::O_EXCL } else { 0 };
        let direct = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_DIRECT | exclusive)
            .open(path);
        let direct = match direct {
            Ok(file) => Some(file),
            Err(error) if !block_device && error.raw_os_error() == Some(libc::EINVAL) => None,
            Err(error) => return Err(failed("opening for exclusive use", error)),
        };
        let (size, sector_size) = if block_device {
            let size =
                block_ioctl::size(&buffered).map_err(|source| failed("asking for the size", source))?;
            let sector = block_ioctl::sector_size(&buffered)
                .map_err(|source| failed("asking for the sector size", source))?;
            (size, sector)
        } else {
            (metadata.len(), 512)
        };
        Ok(Self {
            path: path.to_owned(),
            direct,
            buffered,
            size,
            sector_size,
            block_device,
        })
    }

    fn file_for(&self, data: &[u8], offset: u64) -> &File {
        let aligned = data.as_ptr().align_offset(ALIGNMENT) == 0
            && data.len().is_multiple_of(self.sector_size as usize)
            && offset.is_multiple_of(u64::from(self.sector_size));
        match &self.direct {
            Some(direct) if aligned => direct,
            _ => &self.buffered,
        }
    }

    fn exclusive(&self) -> &File {
        self.direct.as_ref().unwrap_or(&self.buffered)
    }

    /// The file system of a regular file may want larger blocks for direct access than 512 bytes.
    fn wants_larger_blocks(&self, error: &io::Error) -> bool {
        !self.block_device && error.raw_os_error() == Some(libc::EINVAL)
    }
}

impl Target for DiskTarget {
    fn path(&self) -> &Path {
        &self.path
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn sector_size(&self) -> u32 {
        self.sector_size
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let file = self.file_for(buffer, offset);
        match file.read_exact_at(buffer, offset) {
            Err(error) if self.wants_larger_blocks(&error) => self.buffered.read_exact_at(buffer, offset),
            other => other,
        }
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let file = self.file_for(data, offset);
        match file.write_all_at(data, offset) {
            Err(error) if self.wants_larger_blocks(&error) => self.buffered.write_all_at(data, offset),
            other => other,
        }
    }

    fn zero_by_itself(&self, offset: u64, length: u64) -> io::Result<()> {
        // Of a block device this asks for zeros too, refuses to write them itself, and lets it give up the space (a plain
        // request for zeros would make a thin volume or a file under a loop device allocate it).
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let signed = |value: u64| i64::try_from(value).map_err(io::Error::other);
        nix::fcntl::fallocate(self.exclusive(), hole, signed(offset)?, signed(length)?)
            .map_err(io::Error::from)
    }

    fn discard(&self, offset: u64, length: u64) -> io::Result<()> {
        if self.block_device {
            return block_ioctl::discard(self.exclusive(), offset, length);
        }
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }

    fn zero(&self, offset: u64, length: u64) -> io::Result<()> {
        let mut quick = self.zero_by_itself(offset, length);
        if quick.is_err() && self.block_device {
            quick = block_ioctl::zero_out(self.exclusive(), offset, length);
        }
        if quick.is_ok() {
            return Ok(());
        }
        let zeros = vec![0; 1 << 20];
        let mut at = offset;
        let end = offset + length;
        while at < end {
            let step = (end - at).min(zeros.len() as u64);
            let piece = zeros
                .get(..usize::try_from(step).unwrap_or(zeros.len()))
                .unwrap_or(&zeros);
            self.buffered.write_all_at(piece, at)?;
            at += step;
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.buffered.sync_data()
    }

    fn reread_partitions(&self) -> io::Result<()> {
        let (true, Some(exclusive)) = (self.block_device, &self.direct) else {
            return Ok(());
        };
        let mut result = block_ioctl::reread_partitions(exclusive);
        // A probe by the kernel itself may still hold a partition for a moment.
        for _ in 0..20 {
            match &result {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                    std::thread::sleep(Duration::from_millis(100));
                    result = block_ioctl::reread_partitions(exclusive);
                }
                _ => break,
            }
        }
        result
    }
}
