//! Wipes of real file systems on loop devices.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agent::actions::{ActionContext, Outcome, run};
use agent::{BootOptions, Error, Host, LoadOption, Mounted, plan_boot_options};
use agent_protocol::v1::{self, Disk, Firmware, PinnedDisk};
use disk_image::{DiskTarget, Target, partitions};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::host::{DISK, Machine, context, pinned};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 56 * MIB;
/// Stands in every file and stretch that must not be readable afterwards.
const KEY: &[u8] = b"-----BEGIN EC PRIVATE KEY-----";

/// Unmounts. A test beside this one that starts a program has, for a moment, a copy of every open file.
fn unmount(point: &Path) -> io::Result<()> {
    for _ in 0..200 {
        match umount2(point, MntFlags::empty()) {
            Err(nix::errno::Errno::EBUSY) => std::thread::sleep(Duration::from_millis(50)),
            other => return other.map_err(io::Error::from),
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

/// A loop device over a stretch of a file; gone with it.
struct Loop(PathBuf);

impl Loop {
    /// `None`, and said so, where the tests may not make one.
    fn new(file: &Path, start: u64, length: u64) -> Option<Self> {
        let out = Command::new("losetup")
            .args(["--find", "--show", "--partscan", "--offset", &start.to_string()])
            .args(["--sizelimit", &length.to_string()])
            .arg(file)
            .output();
        match out {
            Ok(out) if out.status.success() => {
                Some(Self(PathBuf::from(String::from_utf8(out.stdout).unwrap().trim())))
            }
            other => {
                let root = nix::unistd::geteuid().is_root();
                assert!(
                    !root || !Path::new("/dev/loop-control").exists(),
                    "losetup: {other:?}"
                );
                eprintln!("SKIPPED: loop devices need root and /dev/loop-control: {other:?}");
                None
            }
        }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.0).status();
    }
}

/// A machine with one real disk: a damaged file system, a root file system, swap and a part that is LVM's.
struct RealDisk {
    directory: tempfile::TempDir,
    disk: Loop,
    parts: BTreeMap<u32, Loop>,
    spins: Option<bool>,
    options: std::sync::Mutex<BootOptions>,
    /// Calls that still work.
    budget: AtomicUsize,
}

impl RealDisk {
    fn new(spins: Option<bool>) -> Option<Arc<Self>> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("disk");
        let mut table = Cursor::new(vec![0; usize::try_from(SIZE).unwrap()]);
        gptman::GPT::write_protective_mbr_into(&mut table, 512).unwrap();
        let mut gpt = gptman::GPT::new_from(&mut table, 512, [7; 16]).unwrap();
        for (number, first, last) in [(1, 1, 8), (2, 8, 36), (3, 36, 44), (4, 44, 52)] {
            gpt[number] = gptman::GPTPartitionEntry {
                partition_type_guid: [3; 16],
                unique_partition_guid: [number as u8; 16],
                starting_lba: first * MIB / 512,
                ending_lba: last * MIB / 512 - 1,
                attribute_bits: 0,
                partition_name: "p".into(),
            };
        }
        gpt.write_into(&mut table).unwrap();
        let head = table.into_inner();
        std::fs::write(&file, &head).unwrap();
        let disk = Loop::new(&file, 0, SIZE)?;
        let mut parts = BTreeMap::new();
        for part in partitions(&head) {
            let length = part.range.end - part.range.start;
            parts.insert(part.number, Loop::new(&file, part.range.start, length)?);
        }
        let made = Self {
            directory,
            disk,
            parts,
            spins,
            options: std::sync::Mutex::default(),
            budget: AtomicUsize::new(usize::MAX),
        };
        made.fill()?;
        Some(Arc::new(made))
    }

    fn part(&self, number: u32) -> &Path {
        &self.parts[&number].0
    }

    /// File systems and what lies in them.
    fn fill(&self) -> Option<()> {
        for (number, tool) in [(2, "mkfs.ext4"), (3, "mkswap")] {
            let made = Command::new(tool).arg(self.part(number)).output();
            if !made.is_ok_and(|made| made.status.success()) {
                eprintln!("SKIPPED: no {tool} here");
                return None;
            }
        }
        for (number, magic, at) in [
            (1, &[0x53, 0xef][..], 1080),
            (3, &[][..], 0),
            (4, &b"LABELONE"[..], 512),
        ] {
            let part = File::options().write(true).open(self.part(number)).unwrap();
            part.write_all_at(magic, at).unwrap();
            part.write_all_at(KEY, 5 * MIB).unwrap();
            part.sync_all().unwrap();
        }
        std::fs::write(self.directory.path().join("outside"), KEY).unwrap();
        let root = self.mount(self.part(2), "ext4", false).unwrap();
        let at = |path: &str| root.path().join(path);
        for directory in ["etc/kubernetes/pki", "var/lib/etcd/member/snap", "srv/deep/er"] {
            std::fs::create_dir_all(at(directory)).unwrap();
        }
        std::fs::write(at("etc/kubernetes/pki/ca.key"), KEY).unwrap();
        std::fs::write(at("srv/deep/er/.hidden"), [KEY, &[0; 100_000], KEY].concat()).unwrap();
        std::fs::hard_link(at("etc/kubernetes/pki/ca.key"), at("srv/link")).unwrap();
        std::os::unix::fs::symlink(self.directory.path().join("outside"), at("etc/outside")).unwrap();
        std::os::unix::fs::symlink(self.directory.path(), at("etc/away")).unwrap();
        // Larger than the file system would hold without its hole.
        let sparse = File::create(at("var/lib/etcd/member/snap/db")).unwrap();
        sparse.write_all_at(KEY, 200 * MIB).unwrap();
        sparse.set_len(300 * MIB).unwrap();
        std::fs::write(at("etc/fixed"), KEY).unwrap();
        std::fs::write(at("etc/appended"), KEY).unwrap();
        for (flag, file) in [("+i", "etc/fixed"), ("+a", "etc/appended")] {
            assert!(
                Command::new("chattr")
                    .arg(flag)
                    .arg(at(file))
                    .status()
                    .unwrap()
                    .success()
            );
        }
        drop(sparse);
        root.close().unwrap();
        Some(())
    }

    fn step(&self) -> Result<(), Error> {
        let left = self.budget.load(Ordering::SeqCst);
        if left == 0 {
            return Err(Error::Stopped {
                reason: "killed here".to_owned(),
            });
        }
        if left != usize::MAX {
            self.budget.store(left - 1, Ordering::SeqCst);
        }
        Ok(())
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.directory.path().join("disk")).unwrap()
    }

    /// How often the key can be read anywhere on the disk.
    fn keys(&self) -> usize {
        const PAGE: usize = 4096;
        let bytes = self.bytes();
        let starts = (0..bytes.len()).step_by(PAGE);
        // Comparing a page is much quicker than looking for the key in it.
        let used = starts.filter(|start| bytes[*start..*start + PAGE] != [0; PAGE]);
        let ends = |start: usize| bytes.len().min(start + PAGE + KEY.len() - 1);
        used.map(|start| {
            let windows = bytes[start..ends(start)].windows(KEY.len());
            windows.filter(|window| *window == KEY).count()
        })
        .sum()
    }

    /// What blkid and wipefs find on the disk and its partitions.
    fn signatures(&self) -> String {
        let mut found = String::new();
        for device in std::iter::once(&self.disk).chain(self.parts.values()) {
            for tool in [&["blkid", "-p", "-o", "value"][..], &["wipefs", "--noheadings"]] {
                let out = Command::new(tool[0])
                    .args(&tool[1..])
                    .arg(&device.0)
                    .output()
                    .unwrap();
                found += &String::from_utf8(out.stdout).unwrap();
            }
        }
        found
    }
}

/// A disk that gives nothing up: what is gone from it was overwritten. (A loop device would punch holes into its file.)
struct Plain(DiskTarget);

impl Target for Plain {
    fn path(&self) -> &Path {
        self.0.path()
    }
    fn size(&self) -> u64 {
        self.0.size()
    }
    fn sector_size(&self) -> u32 {
        self.0.sector_size()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(data, offset)
    }
    fn zero(&self, offset: u64, length: u64) -> io::Result<()> {
        self.0.zero(offset, length)
    }
    fn zero_by_itself(&self, offset: u64, length: u64) -> io::Result<()> {
        self.0.zero_by_itself(offset, length)
    }
    fn discard(&self, _: u64, _: u64) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
    fn reread_partitions(&self) -> io::Result<()> {
        self.0.reread_partitions()
    }
}

impl Host for RealDisk {
    fn run_installed(
        &self,
        _: &agent::system::InstalledProgram<'_>,
        _: &mut dyn FnMut(String),
    ) -> Result<(), Error> {
        unreachable!("a wipe runs no program of the installed system")
    }

    fn disks(&self) -> Vec<Disk> {
        vec![Disk {
            device: self.disk.0.display().to_string(),
            rotational: self.spins,
            ..Disk::default()
        }]
    }
    fn kernel_complaints(&self) -> Result<Vec<String>, Error> {
        panic!("a wipe reads the kernel's log")
    }
    fn device(&self, _: &PinnedDisk, partition: Option<u32>) -> Result<PathBuf, Error> {
        self.step()?;
        Ok(partition.map_or(self.disk.0.clone(), |number| self.part(number).to_owned()))
    }
    fn bios_drive(&self, _: &Path) -> Option<u8> {
        None
    }
    fn stable_name(&self, device: &Path) -> PathBuf {
        device.to_owned()
    }
    fn disk_of(&self, _: &Path) -> PathBuf {
        self.disk.0.clone()
    }
    fn open_disk(&self, device: &Path) -> Result<Box<dyn Target>, Error> {
        self.step()?;
        Ok(Box::new(Plain(DiskTarget::open(device)?)))
    }
    fn mount(&self, device: &Path, fs_type: &str, _: bool) -> Result<Mounted, Error> {
        self.step()?;
        let point = self.directory.path().join("mounted");
        std::fs::create_dir_all(&point).unwrap();
        mount(
            Some(device),
            &point,
            Some(fs_type),
            MsFlags::empty(),
            None::<&str>,
        )
        .map_err(|source| Error::Kernel {
            operation: format!("mounting {fs_type}"),
            source: source.into(),
        })?;
        let path = point.clone();
        Ok(Mounted::new(point, Box::new(move || unmount(&path))))
    }
    fn fetch(&self, url: &str) -> Result<Box<dyn Read + Send>, Error> {
        panic!("a wipe fetches {url}")
    }
    fn firmware(&self) -> Firmware {
        Firmware::Uefi
    }
    fn secure_boot(&self) -> bool {
        false
    }
    fn boot_options(&self) -> Result<BootOptions, Error> {
        Ok(self.options.lock().unwrap().clone())
    }
    fn set_boot_options(&self, _: &BootOptions, wanted: &BootOptions) -> Result<(), Error> {
        *self.options.lock().unwrap() = wanted.clone();
        Ok(())
    }
    fn load_kernel(&self, _: &File, _: Option<&File>, line: &str) -> Result<(), Error> {
        panic!("a wipe starts {line}")
    }
}

fn wiping(machine: &Arc<RealDisk>) -> (Result<Outcome, Error>, Vec<String>) {
    let idle = Arc::new(Machine::new(Vec::new()));
    let context = ActionContext {
        host: Arc::clone(machine) as Arc<dyn Host>,
        ..context(&idle, &[("DEST_DISK", "/dev/disk")], false)
    };
    let outcome = run("wipe", &context);
    (outcome, context.board.take_log())
}

#[test]
fn no_key_and_no_signature_is_left_where_files_are_overwritten() {
    for spins in [Some(true), None] {
        let Some(machine) = RealDisk::new(spins) else {
            return;
        };
        let esp = LoadOption {
            partition: 1,
            first: 2048,
            sectors: 100,
            guid: [1; 16],
        };
        *machine.options.lock().unwrap() = plan_boot_options(&BootOptions::default(), &esp);
        assert!(machine.keys() >= 9, "{} keys", machine.keys());
        let (outcome, log) = wiping(&machine);
        let message = outcome.unwrap().message;
        for part in ["6 files", "files that were deleted earlier may keep"] {
            assert!(message.contains(part), "{message}\n{log:#?}");
        }
        assert_eq!(
            (machine.keys(), machine.signatures().as_str()),
            (0, ""),
            "{log:#?}"
        );
        assert_eq!(*machine.options.lock().unwrap(), BootOptions::default());
        let outside = std::fs::read(machine.directory.path().join("outside")).unwrap();
        assert_eq!(outside, KEY, "a link was followed out of the file system");
        for start in [
            "partition 1: its files can't be overwritten one by one (mounting ext4 failed",
            "partition 2: 6 files overwritten",
            "partition 3: swap, overwritten in whole",
            "partition 4: LVM physical volume, overwritten in whole",
        ] {
            assert!(
                log.iter().any(|line| line.starts_with(start)),
                "{start}: {log:#?}"
            );
        }
        let (again, _) = wiping(&machine);
        again.unwrap();
    }
}

#[test]
fn a_disk_that_does_not_spin_zeroes_itself() {
    let Some(machine) = RealDisk::new(Some(false)) else {
        return;
    };
    let (outcome, _) = wiping(&machine);
    let message = outcome.unwrap().message;
    if !message.contains("zeroed itself") {
        eprintln!("SKIPPED: the file system under the loop device punches no holes");
    } else {
        assert!(machine.bytes().iter().all(|byte| *byte == 0));
    }
    assert_eq!((machine.keys(), machine.signatures().as_str()), (0, ""));
}

#[test]
fn killed_anywhere_the_next_run_ends_it() {
    let mut kills = 0;
    for budget in 0.. {
        let Some(machine) = RealDisk::new(None) else {
            return;
        };
        machine.budget.store(budget, Ordering::SeqCst);
        if wiping(&machine).0.is_ok() {
            break;
        }
        kills += 1;
        machine.budget.store(usize::MAX, Ordering::SeqCst);
        let (outcome, log) = wiping(&machine);
        outcome.unwrap_or_else(|error| panic!("killed at call {budget}: {}", error.line()));
        assert_eq!(
            (machine.keys(), machine.signatures().as_str()),
            (0, ""),
            "killed at call {budget}: {log:#?}"
        );
    }
    assert!(kills >= 8, "{kills} kills");
}

/// The disk of the pin is gone, and another one has its name.
#[test]
fn another_disk_than_the_pinned_one_is_never_touched() {
    let mut machine = Machine::new(Vec::new());
    let old = vec![0xaa; usize::try_from(DISK).unwrap()];
    std::fs::write(machine.file("disk"), &old).unwrap();
    machine.disks = Some(machine.boot_with("boot", &[("sda", "OTHER", "disk")]));
    let machine = Arc::new(machine);
    let pin = |serial: &str| PinnedDisk {
        name: "/dev/sda".to_owned(),
        serial: serial.to_owned(),
        size: DISK,
        ..PinnedDisk::default()
    };
    let wipe = |setting: &str, disks: Vec<v1::PinnedDisk>| {
        let context = ActionContext {
            disks,
            ..context(&machine, &[("DEST_DISK", setting)], false)
        };
        run("wipe", &context)
    };
    for (setting, disks, expected) in [
        (
            "/dev/sda",
            vec![pin("PINNED")],
            "no disk with serial number PINNED",
        ),
        ("/dev/sda", Vec::new(), "pinned no disk for /dev/sda"),
        ("/dev/sda1", vec![pin("OTHER")], "names a partition"),
        ("/dev/part2", pinned(), "names a partition"),
    ] {
        let error = wipe(setting, disks).unwrap_err().line();
        assert!(error.contains(expected), "{error}");
        assert!(std::fs::read(machine.file("disk")).unwrap() == old, "{expected}");
    }
    wipe("/dev/sda", vec![pin("OTHER")]).unwrap();
    assert!(
        std::fs::read(machine.file("disk"))
            .unwrap()
            .iter()
            .all(|byte| *byte == 0)
    );
}
