//! What can go wrong on a machine.

use std::io;
use std::path::PathBuf;

use resources::Digest;

/// Something on the machine or on the way to the appliance does not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or device of the machine.
    #[error("{path}: {operation} failed")]
    File {
        /// File.
        path: PathBuf,
        /// What was tried.
        operation: &'static str,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A request to the kernel.
    #[error("{operation} failed")]
    Kernel {
        /// What was tried.
        operation: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The kernel arguments lack something.
    #[error("the kernel arguments say no {name}; boot this machine through the appliance's iPXE script")]
    KernelArgument {
        /// Argument.
        name: &'static str,
    },
    /// There is no such NIC.
    #[error("no NIC has the boot MAC address {mac}; the machine has {found}")]
    NoBootNic {
        /// Wanted.
        mac: String,
        /// What there is.
        found: String,
    },
    /// rtnetlink.
    #[error("{operation} failed")]
    Netlink {
        /// What was tried.
        operation: String,
        /// Cause.
        #[source]
        source: rtnetlink::Error,
    },
    /// No DHCP server answers.
    #[error("no DHCP answer on {nic}: STP, LACP, VLAN, cable?")]
    NoDhcp {
        /// NIC.
        nic: String,
    },
    /// The connection can't be set up.
    #[error("the connection to the appliance can't be set up")]
    Connection(#[source] agent_protocol::Error),
    /// The key can't be made.
    #[error("the machine's key can't be made")]
    Key(#[source] rcgen::Error),
    /// A call failed for good.
    #[error("the appliance refuses {call}: {reason}")]
    Refused {
        /// Call.
        call: &'static str,
        /// Why.
        reason: String,
    },
    /// The action is not known here.
    #[error("this agent knows no action {kind:?}; the appliance is newer, boot the machine again")]
    UnknownAction {
        /// Kind on the wire.
        kind: String,
    },
    /// A setting is missing or wrong.
    #[error("{name}: {reason}")]
    Setting {
        /// Environment variable.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A disk is not the one that is wanted, or none that may be written to.
    #[error(
        "nothing is written to the disk {disk}: {reason}; name another disk in the machine's Hardware, or allow \
         removable devices there with the annotation gantry.dev/allow-removable-disk"
    )]
    DiskRefused {
        /// The identity that is wanted.
        disk: String,
        /// What was found instead.
        reason: String,
    },
    /// There is no such disk or partition.
    #[error("no disk {name}; the machine has {found}")]
    NoDisk {
        /// As wanted.
        name: String,
        /// What there is.
        found: String,
    },
    /// The image's address can't be fetched from.
    #[error("{url}: {reason}")]
    Fetch {
        /// Address.
        url: String,
        /// Why.
        reason: String,
    },
    /// The image or the disk.
    #[error(transparent)]
    Disk(#[from] disk_image::Error),
    /// A path that leads out of the file system or is not absolute.
    #[error("{path:?} is no absolute path without \"..\"")]
    Path {
        /// As given.
        path: String,
    },
    /// What is to be mounted is no file system that can be.
    #[error("{device} holds {found}, and no file system that can be mounted (ext4, xfs, vfat)", device = device.display())]
    FileSystem {
        /// Disk or partition.
        device: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// No kernel was found to start.
    #[error("no kernel to start: {reason}; set KERNEL_PATH, INITRD_PATH and CMD_LINE")]
    NoKernel {
        /// Why.
        reason: String,
    },
    /// The disk holds no member of a control plane.
    #[error("{disk} holds no member of a control plane: no file system on it has {path}")]
    NoMember {
        /// Disk.
        disk: String,
        /// What was looked for.
        path: &'static str,
    },
    /// Certificates that are to be renewed here have not ended.
    #[error(
        "the certificates of this machine count until {ends:.0}, so they are not renewed in the installer; while the cluster's API \
         answers: gantry renew certificates CLUSTER"
    )]
    StillValid {
        /// When the first of them ends.
        ends: jiff::Timestamp,
    },
    /// A program of the installed system.
    #[error("{what} has failed ({status}): {last}")]
    Program {
        /// What it was to do.
        what: &'static str,
        /// How it ended.
        status: String,
        /// The last line that it said.
        last: String,
    },
    /// Cancelled by the appliance or by time.
    #[error("stopped: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
}

impl Error {
    /// The error and its causes in one line.
    #[must_use]
    pub fn line(&self) -> String {
        causes::line(self)
    }

    /// Whether no other try can succeed before somebody changes disk, image or template.
    #[must_use]
    pub const fn is_hopeless(&self) -> bool {
        match self {
            Self::Disk(error) => error.is_hopeless(),
            Self::UnknownAction { .. }
            | Self::Setting { .. }
            | Self::NoDisk { .. }
            | Self::DiskRefused { .. }
            | Self::NoMember { .. }
            | Self::FileSystem { .. }
            | Self::StillValid { .. }
            | Self::Path { .. } => true,
            _ => false,
        }
    }

    /// The image that was fetched is not the one with this digest.
    pub(crate) const fn damaged_image(&self) -> Option<Digest> {
        match self {
            Self::Disk(disk_image::Error::WrongDigest { expected, .. }) => Some(*expected),
            _ => None,
        }
    }

    /// For `map_err` on file operations.
    pub(crate) fn file(path: impl Into<PathBuf>, operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            path,
            operation,
            source,
        }
    }

    /// For `map_err` on system calls.
    pub(crate) fn kernel<E: Into<io::Error>>(operation: impl Into<String>) -> impl FnOnce(E) -> Self {
        let operation = operation.into();
        move |source| Self::Kernel {
            operation,
            source: source.into(),
        }
    }
}
