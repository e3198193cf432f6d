//! An image onto a disk, into a file and into a loop device, beside `zstd -dc | dd oflag=direct` and `zstd --sparse`.
//!
//! The image is like a node's: an ext4 file system with files of /usr in 1.4 GB, zstd frames of 4 MiB. Each run starts on a
//! fresh file of that size. Ours includes the digests, the flush and reading back; of the peers only `zstd --sparse` has a
//! flush, and neither reads back. What a disk holds after each run is compared with the image.

use std::fs::File;
use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};
use disk_image::{DiskTarget, Expected, Identities, ImageReader, Ungated, WriteJob, measure};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::unistd::Uid;
use resources::ImageManifest;

use super::{Case, Findings, Goal, RUNS, leftovers};
use crate::command::done;

/// Bytes of the raw image.
const RAW: u64 = 1400 << 20;
/// Bytes of files in it.
const FILES: u64 = 900 << 20;
/// Bytes of raw image in a frame.
const FRAME: usize = 4 << 20;
/// Share of the pipe's time that ours may take.
const TIME: f64 = 0.455;
/// Share of the pipe's CPU time that ours may take.
const CPU: f64 = 0.6;
/// Memory of the whole program.
const MEMORY: f64 = 64.0;

/// What one run took.
#[derive(Debug, Clone, Copy)]
struct Run {
    milliseconds: f64,
    /// Of the programs; not of the kernel's threads.
    cpu: f64,
}

/// All runs onto one kind of disk.
#[derive(Debug, Default)]
struct Runs {
    ours: Vec<Run>,
    pipe: Vec<Run>,
    sparse: Vec<Run>,
}

pub(super) fn run() -> anyhow::Result<Findings> {
    ensure!(Uid::effective().is_root(), "loop devices need root");
    let folder = leftovers::folder()?;
    let bench = Bench::new(folder.path())?;
    let (mut file, mut device, mut memory) = (Runs::default(), Runs::default(), Vec::new());
    for _ in 0..RUNS {
        let disk = || bench.fresh();
        reset_peak()?;
        file.ours.push(bench.ours(&disk()?)?);
        file.pipe.push(bench.pipe(&disk()?)?);
        file.sparse.push(bench.sparse(&disk()?)?);
        device.ours.push(bench.ours(&Loop::over(&disk()?)?.0)?);
        memory.push(peak()?);
        device.pipe.push(bench.pipe(&Loop::over(&disk()?)?.0)?);
    }
    let mut cases = Vec::from(file.cases(["file, beside the pipe", "file, CPU beside the pipe"]));
    cases.push(case(
        "file, beside zstd --sparse",
        &file.ours,
        ("zstd --sparse; sync", &file.sparse),
        1.0,
        |run| run.milliseconds,
    ));
    cases.extend(device.cases(["loop device", "loop device, CPU"]));
    let what = "memory (peak RSS of this program)";
    cases.push(Case::new(what, "MB", memory, Goal::AtMost(MEMORY)));
    Ok(Findings {
        cases,
        notes: vec![format!(
            "{} MB raw, {} MB as zstd",
            RAW / 1_000_000,
            bench.manifest.size / 1_000_000
        )],
    })
}

impl Runs {
    /// Time and CPU time beside the pipe.
    fn cases(&self, [time, cpu]: [&'static str; 2]) -> [Case; 2] {
        let pipe = ("zstd -dc | dd oflag=direct", &*self.pipe);
        [
            case(time, &self.ours, pipe, TIME, |run| run.milliseconds),
            case(cpu, &self.ours, pipe, CPU, |run| run.cpu),
        ]
    }
}

/// Ours must take at most this share of what the peer takes.
fn case(
    case: &'static str,
    ours: &[Run],
    (name, peer): (&'static str, &[Run]),
    share: f64,
    figure: fn(&Run) -> f64,
) -> Case {
    let figures = |runs: &[Run]| runs.iter().map(figure).collect();
    Case::new(case, "ms", figures(ours), Goal::RatioAtMost(share)).beside(name, figures(peer))
}

/// The image, and where the disks are.
struct Bench {
    folder: PathBuf,
    image: PathBuf,
    manifest: ImageManifest,
}

impl Bench {
    fn new(folder: &Path) -> anyhow::Result<Bench> {
        let (raw, image) = (folder.join("raw"), folder.join("raw.zst"));
        make(folder, &raw)?;
        compress(&raw, &image)?;
        std::fs::remove_file(&raw)?;
        let manifest = measure(ImageReader::open(File::open(&image)?)?, "bench", &mut |_| {})?;
        ensure!(manifest.raw_size == RAW, "{} bytes", manifest.raw_size);
        Ok(Bench {
            folder: folder.to_owned(),
            image,
            manifest,
        })
    }

    /// A file with its blocks allocated, which reads as zeros.
    fn fresh(&self) -> anyhow::Result<PathBuf> {
        let path = self.folder.join("disk");
        if path.exists() {
            std::fs::remove_file(&path)?;
        }
        let file = File::create(&path)?;
        fallocate(&file, FallocateFlags::empty(), 0, i64::try_from(RAW)?)?;
        file.sync_all()?;
        Ok(path)
    }

    fn ours(&self, disk: &Path) -> anyhow::Result<Run> {
        let job = WriteJob {
            expected: Expected {
                digest: Some(self.manifest.digest),
                raw_digest: Some(self.manifest.raw_digest),
                raw_size: Some(RAW),
            },
            identities: Identities::Keep,
            firmware: None,
        };
        self.timed(UsageWho::RUSAGE_SELF, disk, || {
            let image = ImageReader::open(File::open(&self.image)?)?;
            let written = disk_image::install(image, &DiskTarget::open(disk)?, &job, &Ungated)?;
            ensure!(!written.already, "a fresh disk holds the image");
            Ok(())
        })
    }

    fn pipe(&self, disk: &Path) -> anyhow::Result<Run> {
        self.script(
            "set -o pipefail; zstd -dc \"$1\" | dd bs=4M oflag=direct iflag=fullblock conv=notrunc status=none of=\"$2\"",
            disk,
        )
    }

    fn sparse(&self, disk: &Path) -> anyhow::Result<Run> {
        self.script("zstd -dqf --sparse \"$1\" -o \"$2\" && sync \"$2\"", disk)
    }

    fn script(&self, script: &str, disk: &Path) -> anyhow::Result<Run> {
        let mut command = Command::new("bash");
        command.args(["-c", script, "bash"]).arg(&self.image).arg(disk);
        self.timed(UsageWho::RUSAGE_CHILDREN, disk, || done(&mut command).map(drop))
    }

    /// Runs a program and compares what it left with the image.
    fn timed(
        &self,
        who: UsageWho,
        disk: &Path,
        program: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Run> {
        let (before, began) = (getrusage(who)?, Instant::now());
        program()?;
        let milliseconds = began.elapsed().as_secs_f64() * 1e3;
        let cpu = milliseconds_of(getrusage(who)?) - milliseconds_of(before);
        let found = measure(ImageReader::open(File::open(disk)?)?, "disk", &mut |_| {})?.raw_digest;
        ensure!(
            found == self.manifest.raw_digest,
            "{} holds {found}, not the image",
            disk.display()
        );
        Ok(Run { milliseconds, cpu })
    }
}

fn milliseconds_of(usage: Usage) -> f64 {
    let times = [usage.user_time(), usage.system_time()];
    times
        .map(|time| time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3)
        .iter()
        .sum()
}

/// A partition with a file system that is two thirds full, and boot code.
fn make(folder: &Path, raw: &Path) -> anyhow::Result<()> {
    let files = folder.join("files");
    std::fs::create_dir(&files)?;
    let mut left = FILES;
    copy(Path::new("/usr"), &files, &mut left)?;
    ensure!(
        left < FILES / 4,
        "/usr has less than {} bytes of files",
        FILES - FILES / 4
    );
    File::create(raw)?.set_len(RAW)?;
    let table = "label: dos\nstart=2048, type=83, bootable\n";
    done(
        Command::new("bash")
            .args(["-c", "sfdisk -q \"$1\" <<< \"$2\"", "bash"])
            .arg(raw)
            .arg(table),
    )?;
    let size = format!("{}k", (RAW >> 10) - 1024);
    done(
        Command::new("mke2fs")
            .args(["-q", "-F", "-t", "ext4", "-E", "offset=1048576", "-d"])
            .args([&files, raw])
            .arg(size),
    )?;
    File::options()
        .write(true)
        .open(raw)?
        .write_all_at(&[0xfa, 0xf4], 0)?;
    Ok(std::fs::remove_dir_all(files)?)
}

/// Copies the regular files of a directory tree, in the order of their names, until there are bytes enough.
fn copy(from: &Path, to: &Path, left: &mut u64) -> anyhow::Result<()> {
    let mut entries = std::fs::read_dir(from)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (kind, copy_of) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            std::fs::create_dir(&copy_of)?;
            copy(&entry.path(), &copy_of, left)?;
        } else if kind.is_file() && entry.metadata()?.len() <= *left {
            *left -= std::fs::copy(entry.path(), copy_of)?;
        }
    }
    Ok(())
}

/// One frame for each 4 MiB, as the builder of node images makes them.
fn compress(raw: &Path, image: &Path) -> anyhow::Result<()> {
    let (mut raw, mut image) = (BufReader::new(File::open(raw)?), File::create(image)?);
    let mut piece = vec![0; FRAME];
    for _ in 0..RAW / FRAME as u64 {
        raw.read_exact(&mut piece)?;
        image.write_all(&zstd::bulk::compress(&piece, 3)?)?;
    }
    Ok(image.sync_all()?)
}

/// A loop device; gone with it.
struct Loop(PathBuf);

impl Loop {
    fn over(file: &Path) -> anyhow::Result<Loop> {
        let arguments = ["--find", "--show", "--partscan"];
        let device = done(Command::new("losetup").args(arguments).arg(file))?;
        Ok(Loop(PathBuf::from(device.trim())))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        if let Err(error) = done(Command::new("losetup").arg("--detach").arg(&self.0)) {
            eprintln!("{} stays: {error:#}", self.0.display());
        }
    }
}

/// Forgets the peak of this process's memory.
fn reset_peak() -> anyhow::Result<()> {
    Ok(std::fs::write("/proc/self/clear_refs", "5")?)
}

/// Peak of this process's memory in MB.
fn peak() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: f64 = kib.context("no VmHWM")?.trim().parse()?;
    Ok(kib * 1024.0 / 1e6)
}
