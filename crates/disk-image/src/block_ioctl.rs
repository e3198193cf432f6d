//! The requests of Linux block devices (`linux/fs.h`) that have no safe wrapper.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

mod request {
    nix::ioctl_read!(size, 0x12, 114, u64);
    nix::ioctl_none!(reread_partitions, 0x12, 95);
    // These are declared without direction or size in the kernel, so the numbers are spelled out.
    nix::ioctl_write_ptr_bad!(zero_out, 0x127f, [u64; 2]);
    nix::ioctl_write_ptr_bad!(discard, 0x1277, [u64; 2]);
    nix::ioctl_read_bad!(sector_size, 0x1268, i32);
}

/// Bytes of a block device.
pub(crate) fn size(device: &File) -> io::Result<u64> {
    let mut size = 0;
    // SAFETY: the descriptor is open and `size` is the u64 that BLKGETSIZE64 writes.
    unsafe { request::size(device.as_raw_fd(), &raw mut size) }?;
    Ok(size)
}

/// Logical sector size of a block device.
pub(crate) fn sector_size(device: &File) -> io::Result<u32> {
    let mut size = 0;
    // SAFETY: the descriptor is open and `size` is the int that BLKSSZGET writes.
    unsafe { request::sector_size(device.as_raw_fd(), &raw mut size) }?;
    Ok(size.unsigned_abs())
}

/// Zeroes a stretch, without a transfer where the device can.
pub(crate) fn zero_out(device: &File, offset: u64, length: u64) -> io::Result<()> {
    let range = [offset, length];
    // SAFETY: the descriptor is open and BLKZEROOUT reads two u64.
    unsafe { request::zero_out(device.as_raw_fd(), &raw const range) }?;
    Ok(())
}

/// Lets the device give up a stretch; what it reads afterwards is not known.
pub(crate) fn discard(device: &File, offset: u64, length: u64) -> io::Result<()> {
    let range = [offset, length];
    // SAFETY: the descriptor is open and BLKDISCARD reads two u64.
    unsafe { request::discard(device.as_raw_fd(), &raw const range) }?;
    Ok(())
}

/// Makes the kernel read the partition table again.
pub(crate) fn reread_partitions(device: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open and BLKRRPART takes no argument.
    unsafe { request::reread_partitions(device.as_raw_fd()) }?;
    Ok(())
}
