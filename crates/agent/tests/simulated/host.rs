//! A machine made of a sparse file and directories. It can be "killed": from a given call on, everything fails.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use agent::actions::{ActionContext, Board};
use agent::{BootOptions, Error, Host, Lease, MachineKey, Mounted};
use agent_protocol::v1::{Firmware, FirstBootResponse};
use disk_image::{DiskTarget, Target};
use tokio_util::sync::CancellationToken;

pub(crate) struct Machine {
    pub(crate) root: tempfile::TempDir,
    pub(crate) firmware: Firmware,
    pub(crate) secure_boot: bool,
    pub(crate) image: Vec<u8>,
    pub(crate) options: Mutex<BootOptions>,
    pub(crate) option_writes: AtomicUsize,
    pub(crate) loaded: Mutex<Vec<(String, Option<String>, String)>>,
    pub(crate) kexec_fails: bool,
    /// Calls that still work.
    pub(crate) budget: AtomicUsize,
    pub(crate) requests: Mutex<Vec<String>>,
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
            options: Mutex::default(),
            option_writes: AtomicUsize::new(0),
            loaded: Mutex::default(),
            kexec_fails: false,
            budget: AtomicUsize::new(usize::MAX),
            requests: Mutex::default(),
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

    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.file(path)).unwrap()
    }
}

pub(crate) struct Simulated(pub(crate) Arc<Machine>);

impl Host for Simulated {
    fn device(&self, name: &str) -> Result<PathBuf, Error> {
        self.0.step("looking for a disk")?;
        let known = ["disk", "part2", "part3"];
        match name.strip_prefix("/dev/").filter(|name| known.contains(name)) {
            Some(name) => Ok(self.0.root.path().join(name)),
            None => Err(Error::NoDisk {
                name: name.to_owned(),
                found: known.join(", "),
            }),
        }
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
        Ok(Mounted::new(device.to_owned(), Box::new(|| Ok(()))))
    }
    fn fetch(&self, _: &str) -> Result<Box<dyn Read + Send>, Error> {
        self.0.step("fetching")?;
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

/// An action's context on this machine.
pub(crate) fn context(machine: &Arc<Machine>, settings: &[(&str, &str)], resumed: bool) -> ActionContext {
    let issuer = Arc::clone(machine);
    let environment: BTreeMap<String, String> = settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    ActionContext {
        environment,
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
