//! The system calls that have no safe wrapper.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;

mod request {
    use nix::libc;
    nix::ioctl_read!(get_flags, b'f', 1, libc::c_long);
    nix::ioctl_write_ptr!(set_flags, b'f', 2, libc::c_long);
    nix::ioctl_write_ptr!(set_rtc, b'p', 0x0a, super::RtcTime);
}

/// `struct rtc_time` of `linux/rtc.h`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RtcTime {
    pub(crate) second: libc::c_int,
    pub(crate) minute: libc::c_int,
    pub(crate) hour: libc::c_int,
    /// From 1.
    pub(crate) day: libc::c_int,
    /// From 0.
    pub(crate) month: libc::c_int,
    /// From 1900.
    pub(crate) year: libc::c_int,
    pub(crate) weekday: libc::c_int,
    pub(crate) yearday: libc::c_int,
    pub(crate) daylight_saving: libc::c_int,
}

/// Loads a module from its open file. A module that is there already is a success.
pub(super) fn finit_module(module: &File) -> io::Result<()> {
    let parameters = c"";
    // SAFETY: the descriptor is open, the parameters are a NUL-terminated string that outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_finit_module, module.as_raw_fd(), parameters.as_ptr(), 0) };
    match Errno::result(result) {
        Ok(_) | Err(Errno::EEXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Loads a kernel for kexec from open files.
pub(crate) fn kexec_file_load(kernel: &File, initrd: Option<&File>, command_line: &str) -> io::Result<()> {
    /// `KEXEC_FILE_NO_INITRAMFS`.
    const NO_INITRAMFS: libc::c_ulong = 4;
    let line = CString::new(command_line).map_err(io::Error::other)?;
    let length = line.as_bytes_with_nul().len();
    let (initrd, flags) = initrd.map_or((-1, NO_INITRAMFS), |file| (file.as_raw_fd(), 0));
    // SAFETY: both descriptors are open (or the flag says that there is none), and `line` holds `length` bytes with
    // the final NUL and outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_kexec_file_load,
            kernel.as_raw_fd(),
            initrd,
            length as libc::c_ulong,
            line.as_ptr(),
            flags,
        )
    };
    Errno::result(result)?;
    Ok(())
}

/// Takes the flags from a file by which the kernel refuses to change it: immutable, which firmware variables carry against
/// accidents, and append only.
pub(crate) fn make_mutable(file: &File) -> io::Result<()> {
    const FIXED: libc::c_long = 0x10 | 0x20;
    let mut flags: libc::c_long = 0;
    // SAFETY: the descriptor is open and FS_IOC_GETFLAGS writes at most one long.
    unsafe { request::get_flags(file.as_raw_fd(), &raw mut flags) }?;
    if flags & FIXED != 0 {
        flags &= !FIXED;
        // SAFETY: the descriptor is open and FS_IOC_SETFLAGS reads one long.
        unsafe { request::set_flags(file.as_raw_fd(), &raw const flags) }?;
    }
    Ok(())
}

/// Sets the hardware clock.
pub(super) fn set_rtc(device: &File, time: &RtcTime) -> io::Result<()> {
    // SAFETY: the descriptor is open and RTC_SET_TIME reads one `struct rtc_time`.
    unsafe { request::set_rtc(device.as_raw_fd(), time) }?;
    Ok(())
}
