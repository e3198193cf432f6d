//! A machine made of a sparse file and directories. It can be "killed": from a given call on, everything fails.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use agent::actions::{ActionContext, Board};
use agent::inventory::Disks;
use agent::{BootOptions, Error, Host, Lease, MachineKey, Mounted};
use agent_protocol::v1::{Disk, Firmware, FirstBootResponse, PinnedDisk};
use disk_image::{DiskTarget, Target};
use tokio_util::sync::CancellationToken;

/// What a program of the installed system does, with its root and arguments.
pub(crate) type Program = fn(&Path, &[&str]);

pub(crate) struct Machine {
    pub(crate) root: tempfile::TempDir,
    pub(crate) firmware: Firmware,
    pub(crate) secure_boot: bool,
    pub(crate) image: Vec<u8>,
    /// What the appliance has beside it.
    pub(crate) manifest: Mutex<Vec<u8>>,
    pub(crate) options: Mutex<BootOptions>,
    pub(crate) option_writes: AtomicUsize,
    pub(crate) loaded: Mutex<Vec<(String, Option<String>, String)>>,
    pub(crate) kexec_fails: bool,
    /// Disks of a fake sysfs, in place of the one that is called `disk`.
    pub(crate) disks: Option<Disks>,
    pub(crate) bios_drive: Option<u8>,
    /// Calls that still work.
    pub(crate) budget: AtomicUsize,
    pub(crate) requests: Mutex<Vec<String>>,
    /// What programs of the installed system do, with its root and their arguments.
    pub(crate) program: Mutex<Option<Program>>,
}

pub(crate) const DISK: u64 = 16 << 20;

impl Machine {
    pub(crate) fn new(image: Vec<u8>) -> Self {
        let root = tempfile::tempdir().unwrap();
        File::create(root.path().join("disk"))
            .unwrap()
            .set_len(DISK)
            .unwrap();
        for directory in ["part2", "part3"] {
            std::fs::create_dir(root.path().join(directory)).unwrap();
        }
        Self {
            root,
            firmware: Firmware::Uefi,
            secure_boot: false,
            image,
            manifest: Mutex::default(),
            options: Mutex::default(),
            option_writes: AtomicUsize::new(0),
            loaded: Mutex::default(),
            kexec_fails: false,
            disks: None,
            bios_drive: None,
            budget: AtomicUsize::new(usize::MAX),
            requests: Mutex::default(),
            program: Mutex::default(),
        }
    }

    /// One call of the machine; after the last one it is dead.
    fn step(&self, operation: &str) -> Result<(), Error> {
        let left = self.budget.load(Ordering::SeqCst);
        if left == 0 {
            return Err(Error::Kernel {
                operation: operation.to_owned(),
                source: io::Error::other("killed here"),
            });
        }
        self.budget.store(
            left.saturating_sub(usize::from(left != usize::MAX)),
            Ordering::SeqCst,
        );
        Ok(())
    }

    /// Disks of one boot: name in the kernel, serial number, and the file behind it.
    pub(crate) fn boot_with(&self, boot: &str, disks: &[(&str, &str, &str)]) -> Disks {
        let root = self.file(boot);
        for (name, serial, file) in disks {
            let block = root.join("sys/block").join(name);
            for folder in [
                &block,
                &root.join("sys/class/block").join(name),
                &root.join("dev"),
            ] {
                std::fs::create_dir_all(folder).unwrap();
            }
            std::fs::write(block.join("size"), (DISK / 512).to_string()).unwrap();
            std::fs::write(block.join("serial"), serial).unwrap();
            std::os::unix::fs::symlink(self.file(file), root.join("dev").join(name)).unwrap();
        }
        Disks::new(root.join("sys"), root.join("dev"))
    }

    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.file(path)).unwrap()
    }
}

pub(crate) struct Simulated(pub(crate) Arc<Machine>);

impl Host for Simulated {
    fn disks(&self) -> Vec<Disk> {
        Vec::new()
    }
    fn kernel_complaints(&self) -> Result<Vec<String>, Error> {
        self.0.step("reading the kernel's log")?;
        Ok(vec!["[1.000000] ata1.00: failed command".to_owned()])
    }
    fn device(&self, disk: &PinnedDisk, partition: Option<u32>) -> Result<PathBuf, Error> {
        self.0.step("looking for a disk")?;
        if let Some(disks) = &self.0.disks {
            return disks.find(disk, partition);
        }
        let name = match (disk.name.as_str(), partition) {
            ("/dev/disk", None) => "disk",
            ("/dev/part", Some(2)) => "part2",
            ("/dev/part", Some(3)) => "part3",
            _ => {
                return Err(Error::NoDisk {
                    name: disk.name.clone(),
                    found: "one disk".to_owned(),
                });
            }
        };
        Ok(self.0.root.path().join(name))
    }
    fn bios_drive(&self, _: &Path) -> Option<u8> {
        self.0.bios_drive
    }
    fn stable_name(&self, device: &Path) -> PathBuf {
        Path::new("/dev/disk/by-id/simulated").join(device.file_name().unwrap())
    }
    fn disk_of(&self, _: &Path) -> PathBuf {
        self.0.root.path().join("disk")
    }
    fn open_disk(&self, device: &Path) -> Result<Box<dyn Target>, Error> {
        self.0.step("opening a disk")?;
        Ok(Box::new(DiskTarget::open(device)?))
    }
    fn mount(&self, device: &Path, fs_type: &str, _: bool) -> Result<Mounted, Error> {
        self.0.step("mounting")?;
        assert_eq!(fs_type, "ext4");
        // A whole disk with a file system has its files beside it.
        let path = match device.ends_with("disk") {
            true => self.0.file("part2"),
            false => device.to_owned(),
        };
        Ok(Mounted::new(path, Box::new(|| Ok(()))))
    }
    fn run_installed(
        &self,
        program: &agent::system::InstalledProgram<'_>,
        line: &mut dyn FnMut(String),
    ) -> Result<(), Error> {
        self.0.step("starting a program of the installed system")?;
        assert_eq!(program.script, "renew");
        let arguments = program.arguments;
        if let Some(does) = *self.0.program.lock().unwrap() {
            does(program.root, arguments);
        }
        line(format!("renewed {arguments:?}"));
        // Its power goes before anybody hears that it is done.
        self.0.step("waiting for it")
    }
    fn fetch(&self, url: &str) -> Result<Box<dyn Read + Send>, Error> {
        self.0.step("fetching")?;
        if url.ends_with("/manifest.json") {
            return Ok(Box::new(Cursor::new(self.0.manifest.lock().unwrap().clone())));
        }
        let cut = self.0.budget.load(Ordering::SeqCst) == 0;
        // A machine that is about to die gets half of the image.
        let length = if cut {
            self.0.image.len() / 2
        } else {
            self.0.image.len()
        };
        let broken = Broken(cut);
        Ok(Box::new(
            Cursor::new(self.0.image[..length].to_vec()).chain(broken),
        ))
    }
    fn firmware(&self) -> Firmware {
        self.0.firmware
    }
    fn secure_boot(&self) -> bool {
        self.0.secure_boot
    }
    fn boot_options(&self) -> Result<BootOptions, Error> {
        self.0.step("reading boot options")?;
        Ok(self.0.options.lock().unwrap().clone())
    }
    fn set_boot_options(&self, _: &BootOptions, wanted: &BootOptions) -> Result<(), Error> {
        self.0.step("writing boot options")?;
        self.0.option_writes.fetch_add(1, Ordering::SeqCst);
        *self.0.options.lock().unwrap() = wanted.clone();
        Ok(())
    }
    fn load_kernel(&self, kernel: &File, initrd: Option<&File>, command_line: &str) -> Result<(), Error> {
        self.0.step("loading a kernel")?;
        if self.0.kexec_fails {
            return Err(Error::Kernel {
                operation: "loading the kernel".to_owned(),
                source: io::Error::from_raw_os_error(nix_enoexec()),
            });
        }
        let text = |mut file: &File| {
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            text
        };
        let loaded = (text(kernel), initrd.map(text), command_line.to_owned());
        self.0.loaded.lock().unwrap().push(loaded);
        Ok(())
    }
}

/// "Exec format error".
const fn nix_enoexec() -> i32 {
    8
}

struct Broken(bool);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        if self.0 {
            Err(io::Error::other("killed here"))
        } else {
            Ok(0)
        }
    }
}

/// Identities by which the settings of the tests name disks.
pub(crate) fn pinned() -> Vec<PinnedDisk> {
    ["/dev/disk", "/dev/part"]
        .map(|name| PinnedDisk {
            name: name.to_owned(),
            ..PinnedDisk::default()
        })
        .to_vec()
}

/// An action's context on this machine.
pub(crate) fn context(machine: &Arc<Machine>, settings: &[(&str, &str)], resumed: bool) -> ActionContext {
    let issuer = Arc::clone(machine);
    let environment: BTreeMap<String, String> = settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    ActionContext {
        environment,
        disks: pinned(),
        resumed,
        identity: "default/wf/1".to_owned(),
        host: Arc::new(Simulated(Arc::clone(machine))),
        lease: Arc::new(Lease::new(std::time::Instant::now(), agent_protocol::LEASE)),
        board: Arc::new(Board::default()),
        cancel: CancellationToken::new(),
        issue_first_boot: Box::new(move |request| {
            // The appliance commits before it answers: the request counts even if the machine dies now.
            issuer.requests.lock().unwrap().push(key_of(&request));
            issuer.step("receiving the certificate")?;
            Ok(FirstBootResponse {
                certificate_pem: "certificate".to_owned(),
                ca_pem: "ca".to_owned(),
                endpoints: vec!["https://192.0.2.1:7443".to_owned()],
                site_name: "lab.gantry.test".to_owned(),
                server_time: 1,
            })
        }),
    }
}

/// Public key of a request, in hex: signatures differ each time, keys do not.
fn key_of(request: &str) -> String {
    let pem = rcgen::CertificateSigningRequestParams::from_pem(request).unwrap();
    format!("{:?}", rcgen::PublicKeyData::der_bytes(&pem.public_key))
}

/// A machine key as PEM, for comparison with what was requested.
pub(crate) fn public_key(pem: &str) -> String {
    let key = MachineKey::from_pem(pem).unwrap();
    key_of(&key.request_pem().unwrap())
}
