//! Where a rack keeps its files. Sockets are below `/run`, because their paths have a short limit.

use std::env;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::plan::{MachinePlan, RackPlan};

/// `${XDG_STATE_HOME:-~/.local/state}/gantry/lab`.
#[must_use]
pub fn state_root() -> PathBuf {
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = absolute("XDG_STATE_HOME").unwrap_or_else(|| {
        absolute("HOME")
            .unwrap_or_else(|| PathBuf::from("/root"))
            .join(".local/state")
    });
    base.join("gantry/lab")
}

/// The files of one rack.
#[derive(Debug, Clone)]
pub struct RackPaths {
    pub dir: PathBuf,
    sockets: PathBuf,
}

impl RackPaths {
    #[must_use]
    pub fn new(root: &Path, id: &str) -> Self {
        Self {
            dir: root.join(id),
            sockets: Path::new("/run/gantry-lab").join(id),
        }
    }

    /// The paths of the rack whose state directory this is.
    pub(crate) fn of_dir(dir: &Path) -> Option<Self> {
        let id = dir.file_name()?.to_str()?;
        Some(Self::new(dir.parent()?, id))
    }

    /// Options that the rack was started with.
    pub(crate) fn options(&self) -> PathBuf {
        self.dir.join("options.json")
    }

    /// What the supervisor says about itself and the machines.
    pub(crate) fn state(&self) -> PathBuf {
        self.dir.join("state.json")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    pub(crate) fn supervisor_log(&self) -> PathBuf {
        self.dir.join("supervisor.log")
    }

    /// The CSV that describes the machines to Gantry. Holds the BMC passwords.
    #[must_use]
    pub fn hardware_csv(&self) -> PathBuf {
        self.dir.join("hardware.csv")
    }

    /// Addresses and ranges for a cluster in this rack, as JSON.
    #[must_use]
    pub fn facts(&self) -> PathBuf {
        self.dir.join("facts.json")
    }

    /// Every request to a BMC, one JSON object a line.
    #[must_use]
    pub fn bmc_log(&self) -> PathBuf {
        self.dir.join("bmc.jsonl")
    }

    /// The packets of the boot network, if they are captured.
    #[must_use]
    pub fn capture(&self) -> PathBuf {
        self.dir.join("boot.pcap")
    }

    pub(crate) fn machine_dir(&self, machine: &MachinePlan) -> PathBuf {
        self.dir.join("machines").join(&machine.name)
    }

    /// All that the machine wrote to its serial port.
    #[must_use]
    pub fn console_log(&self, machine: &MachinePlan) -> PathBuf {
        self.machine_dir(machine).join("console.log")
    }

    pub(crate) fn qemu_log(&self, machine: &MachinePlan) -> PathBuf {
        self.machine_dir(machine).join("qemu.log")
    }

    /// Firmware variables (UEFI only).
    #[must_use]
    pub fn nvram(&self, machine: &MachinePlan) -> PathBuf {
        self.machine_dir(machine).join("nvram.fd")
    }

    /// The disk files: 0 is the first, which stays blank; 1 the one to install on; 2 the USB disk of a machine that
    /// has one.
    #[must_use]
    pub fn disk(&self, machine: &MachinePlan, index: usize) -> PathBuf {
        self.machine_dir(machine).join(format!("disk{index}.img"))
    }

    pub(crate) fn socket_dir(&self) -> &Path {
        &self.sockets
    }

    pub(crate) fn console_socket(&self, machine: &MachinePlan) -> PathBuf {
        self.sockets.join(format!("{}.tty", machine.name))
    }

    pub(crate) fn monitor_socket(&self, machine: &MachinePlan) -> PathBuf {
        self.sockets.join(format!("{}.qmp", machine.name))
    }

    /// Makes the directories, readable by root only: they hold passwords, disks and monitors.
    pub(crate) fn create(&self, plan: &RackPlan) -> Result<(), Error> {
        use std::os::unix::fs::DirBuilderExt as _;
        let make = |path: &Path| {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(Error::file("creating", path))
        };
        make(&self.dir)?;
        make(&self.sockets)?;
        plan.machines
            .iter()
            .try_for_each(|machine| make(&self.machine_dir(machine)))
    }
}
