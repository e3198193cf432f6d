//! What actions need of a machine. The real one is `RealHost`; tests put directories and sparse files in its place.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use agent_protocol::v1::{self, Firmware};
use disk_image::Target;

use crate::system::InstalledProgram;
use crate::{BootOptions, Error};

/// A machine, as actions see it.
pub trait Host: Send + Sync {
    /// The machine's disks as they are now, with what lies on them.
    fn disks(&self) -> Vec<v1::Disk>;

    /// What the kernel has logged since its start as a warning or worse, oldest first; the newest lines where it is too much.
    ///
    /// # Errors
    /// When the log can't be read.
    fn kernel_complaints(&self) -> Result<Vec<String>, Error>;

    /// The device of a pinned disk, or of a partition of it, in this boot. Waits a while for slow controllers.
    ///
    /// # Errors
    /// When not exactly one disk has that identity, or it is none that may be written to.
    fn device(&self, disk: &v1::PinnedDisk, partition: Option<u32>) -> Result<PathBuf, Error>;

    /// The number that a PC BIOS gives to the drive that this disk was at boot, if it told.
    fn bios_drive(&self, disk: &Path) -> Option<u8>;

    /// A name of the device that the next boot understands too.
    fn stable_name(&self, device: &Path) -> PathBuf;

    /// The whole disk that a partition is on; a disk is its own.
    fn disk_of(&self, device: &Path) -> PathBuf;

    /// Opens a whole disk for writing.
    ///
    /// # Errors
    /// When it is in use or can't be opened.
    fn open_disk(&self, device: &Path) -> Result<Box<dyn Target>, Error>;

    /// Mounts a file system.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn mount(&self, device: &Path, fs_type: &str, read_only: bool) -> Result<Mounted, Error>;

    /// Runs a program of an installed system, without a network. What it says is given to `line` as it comes.
    ///
    /// # Errors
    /// When it can't be started, does not succeed, or was cancelled.
    fn run_installed(
        &self,
        program: &InstalledProgram<'_>,
        line: &mut dyn FnMut(String),
    ) -> Result<(), Error>;

    /// Starts fetching; the stream carries on after breaks.
    ///
    /// # Errors
    /// When the address can't be fetched from at all.
    fn fetch(&self, url: &str) -> Result<Box<dyn Read + Send>, Error>;

    /// Firmware that started the machine.
    fn firmware(&self) -> Firmware;

    /// Whether Secure Boot is enforced.
    fn secure_boot(&self) -> bool;

    /// The UEFI boot options.
    ///
    /// # Errors
    /// When the variables can't be read.
    fn boot_options(&self) -> Result<BootOptions, Error>;

    /// Changes the UEFI boot options from `now` to `wanted`.
    ///
    /// # Errors
    /// When the firmware refuses.
    fn set_boot_options(&self, now: &BootOptions, wanted: &BootOptions) -> Result<(), Error>;

    /// Loads a kernel to be started by kexec.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn load_kernel(&self, kernel: &File, initrd: Option<&File>, command_line: &str) -> Result<(), Error>;
}

/// A mounted file system; unmounted when it goes.
pub struct Mounted {
    path: PathBuf,
    unmount: Option<Box<dyn FnOnce() -> io::Result<()> + Send>>,
}

impl std::fmt::Debug for Mounted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mounted")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Mounted {
    /// A file system at `path` and how to unmount it.
    #[must_use]
    pub fn new(path: PathBuf, unmount: Box<dyn FnOnce() -> io::Result<()> + Send>) -> Self {
        Self {
            path,
            unmount: Some(unmount),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Unmounts it: when this returns well, everything is on the disk.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn close(mut self) -> Result<(), Error> {
        match self.unmount.take() {
            Some(unmount) => unmount().map_err(Error::file(&self.path, "unmounting")),
            None => Ok(()),
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(unmount) = self.unmount.take() {
            // Only on the way out of an error, which is what gets reported.
            let _ = unmount();
        }
    }
}
