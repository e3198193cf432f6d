//! The machine that the agent runs on.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_protocol::environment::ANY_FILE_SYSTEM;
use agent_protocol::v1::{self, Firmware};
use disk_image::{DiskTarget, Target};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::host::{Host, Mounted};
use crate::inventory::{Disks, bios_drives, file_system, firmware, secure_boot};
use crate::system::{self, InstalledProgram, Modules, kexec_file_load, make_mutable};
use crate::{BootOptions, Error, image_stream};

/// Slow controllers find their disks within this time.
const DISK_PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks for disks.
const LOOK: Duration = Duration::from_millis(250);
/// Disks are complete when no other one has come for so long.
const SETTLED: Duration = Duration::from_secs(1);
/// Where the installed file systems are mounted.
const MOUNT_POINT: &str = "/run/target";
/// Namespace of the UEFI specification's own variables.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Non-volatile, boot service and runtime access.
const ATTRIBUTES: u32 = 7;

/// The real machine.
#[derive(Debug)]
pub struct RealHost {
    sys: PathBuf,
    disks: Disks,
    /// Drive numbers of the BIOS by kernel name, as they were before anything was written.
    bios_drives: BTreeMap<String, u8>,
    modules: Arc<Modules>,
    runtime: tokio::runtime::Handle,
}

impl RealHost {
    /// The machine, once its disks have been found, with images fetched on `runtime`. Blocks for a second or more.
    #[must_use]
    pub fn find(modules: Arc<Modules>, runtime: tokio::runtime::Handle) -> Self {
        let (sys, dev) = (PathBuf::from("/sys"), PathBuf::from("/dev"));
        let disks = Disks::new(sys.clone(), dev.clone());
        settle(&disks, &modules);
        Self {
            bios_drives: bios_drives(&sys, &dev, &disks.all()),
            disks,
            sys,
            modules,
            runtime,
        }
    }

    fn variables(&self) -> PathBuf {
        self.sys.join("firmware/efi/efivars")
    }

    fn variable(&self, name: &str) -> PathBuf {
        self.variables().join(format!("{name}-{GLOBAL}"))
    }
}

impl Host for RealHost {
    fn disks(&self) -> Vec<v1::Disk> {
        // A slow controller or USB bus shows a disk when other disks have settled long ago, and its driver may be new.
        self.modules.load_for_devices();
        self.disks.report()
    }

    fn kernel_complaints(&self) -> Result<Vec<String>, Error> {
        system::kernel_complaints()
    }

    fn device(&self, disk: &v1::PinnedDisk, partition: Option<u32>) -> Result<PathBuf, Error> {
        let start = Instant::now();
        loop {
            match self.disks.find(disk, partition) {
                Err(Error::NoDisk { .. }) if start.elapsed() < DISK_PATIENCE => {}
                found => return found,
            }
            std::thread::sleep(LOOK);
            self.modules.load_for_devices();
        }
    }

    fn bios_drive(&self, disk: &Path) -> Option<u8> {
        self.bios_drives.get(disk.file_name()?.to_str()?).copied()
    }

    fn stable_name(&self, device: &Path) -> PathBuf {
        self.disks.stable_name(device)
    }

    fn disk_of(&self, device: &Path) -> PathBuf {
        self.disks.disk_of(device)
    }

    fn open_disk(&self, device: &Path) -> Result<Box<dyn Target>, Error> {
        Ok(Box::new(DiskTarget::open(device)?))
    }

    fn mount(&self, device: &Path, fs_type: &str, read_only: bool) -> Result<Mounted, Error> {
        fs::create_dir_all(MOUNT_POINT).map_err(Error::file(MOUNT_POINT, "making the directory"))?;
        let fs_type = match fs_type {
            ANY_FILE_SYSTEM => file_system(device)?,
            other => other,
        };
        self.modules.load(fs_type);
        let flags = MsFlags::MS_NOSUID
            | MsFlags::MS_NODEV
            | if read_only {
                MsFlags::MS_RDONLY
            } else {
                MsFlags::empty()
            };
        mount(Some(device), MOUNT_POINT, Some(fs_type), flags, None::<&str>).map_err(Error::kernel(
            format!("mounting {} as {fs_type}", device.display()),
        ))?;
        Ok(Mounted::new(PathBuf::from(MOUNT_POINT), Box::new(unmount)))
    }

    fn run_installed(
        &self,
        program: &InstalledProgram<'_>,
        line: &mut dyn FnMut(String),
    ) -> Result<(), Error> {
        system::run_installed(program, line)
    }

    fn fetch(&self, url: &str) -> Result<Box<dyn Read + Send>, Error> {
        image_stream::fetch(url, &self.runtime)
    }

    fn firmware(&self) -> Firmware {
        firmware(&self.sys)
    }

    fn secure_boot(&self) -> bool {
        secure_boot(&self.sys).unwrap_or(false)
    }

    fn boot_options(&self) -> Result<BootOptions, Error> {
        let directory = self.variables();
        let mut options = BTreeMap::new();
        let entries = fs::read_dir(&directory).map_err(Error::file(&directory, "listing"))?;
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let digits = name
                .strip_prefix("Boot")
                .and_then(|rest| rest.strip_suffix(&format!("-{GLOBAL}")));
            let Some(number) = digits
                .filter(|digits| digits.len() == 4)
                .and_then(|hex| u16::from_str_radix(hex, 16).ok())
            else {
                continue;
            };
            if let Some(content) = read_variable(&entry.path())? {
                options.insert(number, content);
            }
        }
        let order = read_variable(&self.variable("BootOrder"))?.unwrap_or_default();
        let order = order
            .as_chunks::<2>()
            .0
            .iter()
            .map(|pair| u16::from_le_bytes(*pair))
            .collect();
        Ok(BootOptions { options, order })
    }

    fn set_boot_options(&self, now: &BootOptions, wanted: &BootOptions) -> Result<(), Error> {
        let path = |number: u16| self.variable(&format!("Boot{number:04X}"));
        for (number, content) in &wanted.options {
            if now.options.get(number) != Some(content) {
                write_variable(&path(*number), content)?;
            }
        }
        if now.order != wanted.order {
            let octets: Vec<u8> = wanted
                .order
                .iter()
                .flat_map(|number| number.to_le_bytes())
                .collect();
            write_variable(&self.variable("BootOrder"), &octets)?;
        }
        // Old ones go last: until here the machine can still boot as before.
        for number in now
            .options
            .keys()
            .filter(|number| !wanted.options.contains_key(number))
        {
            let path = path(*number);
            let file = File::open(&path).map_err(Error::file(&path, "opening"))?;
            make_mutable(&file).map_err(Error::file(&path, "making it writable"))?;
            fs::remove_file(&path).map_err(Error::file(&path, "removing"))?;
        }
        Ok(())
    }

    fn load_kernel(&self, kernel: &File, initrd: Option<&File>, command_line: &str) -> Result<(), Error> {
        kexec_file_load(kernel, initrd, command_line).map_err(Error::kernel("loading the kernel for kexec"))
    }
}

/// Waits until no further disk appears; a machine without any is given longer.
fn settle(disks: &Disks, modules: &Modules) {
    let names = || disks.all().into_iter().map(|disk| disk.name).collect::<Vec<_>>();
    let start = Instant::now();
    let (mut seen, mut since) = (names(), start);
    while start.elapsed() < DISK_PATIENCE && (seen.is_empty() || since.elapsed() < SETTLED) {
        std::thread::sleep(LOOK);
        modules.load_for_devices();
        let now = names();
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
    }
}

/// Unmounts; a writer in the kernel may hold the file system for a moment.
fn unmount() -> io::Result<()> {
    let start = Instant::now();
    loop {
        match umount2(MOUNT_POINT, MntFlags::empty()) {
            Err(nix::errno::Errno::EBUSY) if start.elapsed() < Duration::from_secs(10) => {
                std::thread::sleep(Duration::from_millis(100));
            }
            other => return other.map_err(io::Error::from),
        }
    }
}

/// Content of a variable without its attributes; `None` when it is absent.
fn read_variable(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(octets) => Ok(octets.get(4..).map(<[u8]>::to_vec)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file(path, "reading")(error)),
    }
}

/// Writes a variable in one piece, as efivarfs wants it.
fn write_variable(path: &Path, content: &[u8]) -> Result<(), Error> {
    if let Ok(existing) = File::open(path) {
        make_mutable(&existing).map_err(Error::file(path, "making it writable"))?;
    }
    let mut octets = ATTRIBUTES.to_le_bytes().to_vec();
    octets.extend(content);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(Error::file(path, "opening"))?;
    file.write_all(&octets).map_err(Error::file(path, "writing"))
}
