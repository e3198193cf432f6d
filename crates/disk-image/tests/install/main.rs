//! Whole writes on sparse files: every format, twice, cut off anywhere, and each reason to refuse.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod frames;
mod identities;
mod layouts;
mod loop_device;
mod wipe;

use std::fs::File;
use std::io::{self, Cursor, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use disk_image::{
    DiskTarget, Error, Expected, Identities, ImageReader, Target, Ungated, WriteJob, Written, confirm, gpt,
    install, measure,
};
use gptman::{GPT, GPTPartitionEntry};
use resources::ImageManifest;
use resources::gantry::Firmware;

const MIB: usize = 1 << 20;
const IMAGE: usize = 24 * MIB;
const DISK: u64 = 32 << 20;

/// A disk with boot code, an ESP and a root partition that has data and holes.
fn image() -> Vec<u8> {
    static IMAGE_ONCE: LazyLock<Vec<u8>> = LazyLock::new(make_image);
    IMAGE_ONCE.clone()
}

fn make_image() -> Vec<u8> {
    let mut file = Cursor::new(vec![0; IMAGE]);
    GPT::write_protective_mbr_into(&mut file, 512).unwrap();
    let mut table = GPT::new_from(&mut file, 512, [7; 16]).unwrap();
    for (number, kind, first, last) in [(1, ESP, 2048, 6143), (2, LINUX, 6144, 49_000 - 34)] {
        table[number] = GPTPartitionEntry {
            partition_type_guid: kind,
            unique_partition_guid: [number as u8; 16],
            starting_lba: first,
            ending_lba: last,
            attribute_bits: 0,
            partition_name: "test".into(),
        };
    }
    table.write_into(&mut file).unwrap();
    let mut image = file.into_inner();
    image[0] = 0xeb;
    for at in (3 * MIB..5 * MIB).chain(11 * MIB..14 * MIB + 777) {
        image[at] = (at % 251) as u8 | 1;
    }
    image
}

const ESP: [u8; 16] = [
    0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
];
const LINUX: [u8; 16] = [
    0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4,
];

fn manifest() -> ImageManifest {
    static ONCE: LazyLock<ImageManifest> = LazyLock::new(make_manifest);
    ONCE.clone()
}

fn make_manifest() -> ImageManifest {
    measure(
        ImageReader::open(Cursor::new(image())).unwrap(),
        "test",
        &mut |_| {},
    )
    .unwrap()
}

fn expected() -> Expected {
    let manifest = manifest();
    Expected {
        digest: None,
        raw_digest: Some(manifest.raw_digest),
        raw_size: Some(manifest.raw_size),
    }
}

fn disk(directory: &Path, size: u64) -> DiskTarget {
    let path = directory.join("disk");
    let file = File::create(&path).unwrap();
    file.set_len(size).unwrap();
    // What an earlier owner left: nothing of it may stay where signatures are looked for.
    file.write_all_at(&vec![0x5a; MIB], 0).unwrap();
    file.write_all_at(
        &vec![0x5a; MIB.min(size as usize)],
        size.saturating_sub(MIB as u64),
    )
    .unwrap();
    DiskTarget::open(&path).unwrap()
}

fn write(file: Vec<u8>, target: &dyn Target, expected: Expected) -> Result<Written, Error> {
    write_for(file, target, expected, None)
}

fn write_for(
    file: Vec<u8>,
    target: &dyn Target,
    expected: Expected,
    firmware: Option<Firmware>,
) -> Result<Written, Error> {
    let job = WriteJob {
        expected,
        identities: RENEWED,
        firmware,
    };
    install(ImageReader::open(Cursor::new(file))?, target, &job, &Ungated)
}

/// New GUIDs for an image that refers to none.
const RENEWED: Identities<'static> = Identities::Renew {
    seed: b"machine and attempt",
    references: &[],
};

fn contents(target: &DiskTarget) -> Vec<u8> {
    std::fs::read(target.path()).unwrap()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn assert_installed(disk: &[u8]) {
    let image = image();
    // Everything but the table and the image's own second table is the image.
    assert_eq!(disk[34 * 512..IMAGE], image[34 * 512..]);
    assert_eq!(disk[..440], image[..440]);
    let table = GPT::read_from(&mut Cursor::new(disk), 512).unwrap();
    assert_eq!(table.header.backup_lba, DISK / 512 - 1);
    let mut primary_lost = disk.to_vec();
    primary_lost[512..1024].fill(0);
    let backup = GPT::find_from(&mut Cursor::new(primary_lost)).unwrap();
    assert_eq!(backup.header.disk_guid, table.header.disk_guid);
    assert_ne!(table.header.disk_guid, [7; 16]);
    assert_ne!(table[1].unique_partition_guid, [1; 16]);
    assert_eq!(table[2].ending_lba, 49_000 - 34);
    // Behind the image there is nothing but the second table.
    assert!(disk[IMAGE..disk.len() - 33 * 512].iter().all(|byte| *byte == 0));
}

#[test]
fn every_format_ends_in_the_same_disk() {
    let zstd = zstd::encode_all(&image()[..], 3).unwrap();
    for file in [image(), gzip(&image()), zstd] {
        let directory = tempfile::tempdir().unwrap();
        let target = disk(directory.path(), DISK);
        let written = write(file, &target, expected()).unwrap();
        assert!(!written.already);
        let found = contents(&target);
        assert_installed(&found);
        let esp = gpt::parse(&found).unwrap().esp().copied().unwrap();
        assert_eq!(written.esp_guid, Some(gpt::guid_text(&esp.guid)));
    }
}

#[test]
fn run_twice_writes_once() {
    let directory = tempfile::tempdir().unwrap();
    let target = disk(directory.path(), DISK);
    write(image(), &target, expected()).unwrap();
    let before = contents(&target);
    let untouchable = Failing::new(&target, 0);
    assert!(write(image(), &untouchable, expected()).unwrap().already);
    assert_eq!(contents(&target), before);
    // One wrong byte anywhere: it is written again.
    let file = File::options().write(true).open(target.path()).unwrap();
    file.write_all_at(&[0xff], 12 * MIB as u64).unwrap();
    assert!(!write(image(), &target, expected()).unwrap().already);
    assert_eq!(contents(&target), before);
}

#[test]
fn killed_at_any_write_it_cannot_boot_and_starts_anew() {
    let directory = tempfile::tempdir().unwrap();
    let reference = disk(directory.path(), DISK);
    let counting = Failing::new(&reference, usize::MAX);
    write(image(), &counting, expected()).unwrap();
    let writes = counting.calls.load(Ordering::Relaxed);
    assert!(writes > 6, "{writes} writes");
    for survived in 0..writes {
        let directory = tempfile::tempdir().unwrap();
        let target = disk(directory.path(), DISK);
        write(image(), &Failing::new(&target, survived), expected()).unwrap_err();
        assert!(
            gpt::parse(&contents(&target)).is_none(),
            "after {survived} writes"
        );
        assert!(!write(image(), &target, expected()).unwrap().already);
        assert_installed(&contents(&target));
    }
}

#[test]
fn a_wrong_digest_leaves_a_disk_that_cannot_boot() {
    let file = gzip(&image());
    let wrong = manifest().digest;
    let cases = [
        Expected {
            digest: Some(wrong),
            ..Expected::default()
        },
        Expected {
            raw_digest: Some(resources::Digest::new(wrong.octets().map(|byte| !byte))),
            ..Expected::default()
        },
        Expected {
            raw_size: Some(IMAGE as u64 + 512),
            ..Expected::default()
        },
    ];
    for expected in cases {
        let directory = tempfile::tempdir().unwrap();
        let target = disk(directory.path(), DISK);
        let error = write(file.clone(), &target, expected).unwrap_err();
        assert!(
            matches!(error, Error::WrongDigest { .. } | Error::WrongSize { .. }),
            "{error}"
        );
        assert!(contents(&target)[..MIB].iter().all(|byte| *byte == 0));
    }
}

#[test]
fn refusals_come_before_the_first_write() {
    let directory = tempfile::tempdir().unwrap();
    let small = disk(directory.path(), 20 << 20);
    let before = contents(&small);
    for expected in [expected(), Expected::default()] {
        let error = write(image(), &small, expected).unwrap_err().to_string();
        assert!(
            error.contains("disk too small") && error.contains("20971520"),
            "{error}"
        );
    }
    let error = write(with_master_boot_record(), &small, Expected::default()).unwrap_err();
    assert!(matches!(error, Error::DiskTooSmall { .. }), "{error}");
    assert_eq!(contents(&small), before, "told before anything is written");
    let mut no_loader = image();
    no_loader[..512].fill(0);
    let mut filesystem = vec![0; 4 * MIB];
    filesystem[1080] = 0x53;
    for file in [no_loader, filesystem] {
        let error = write(file, &small, Expected::default()).unwrap_err();
        assert!(matches!(error, Error::NoBootLoader), "{error}");
    }
    assert_eq!(contents(&small), before);
    assert!(DiskTarget::open(&directory.path().join("mistyped")).is_err());
    assert!(!directory.path().join("mistyped").exists());
}

/// The image with a master boot record alone: its one partition reaches to the end.
fn with_master_boot_record() -> Vec<u8> {
    let mut image = image();
    image[512..34 * 512].fill(0);
    image[446..510].fill(0);
    image[446 + 4] = 0x83;
    image[446 + 8..446 + 12].copy_from_slice(&2048_u32.to_le_bytes());
    image[446 + 12..446 + 16].copy_from_slice(&(IMAGE as u32 / 512 - 2048).to_le_bytes());
    image
}

#[test]
fn an_image_for_the_other_firmware_is_refused_before_the_first_write() {
    let mut for_uefi = image();
    for_uefi[..440].fill(0);
    for (file, other, right) in [
        (for_uefi, Firmware::Bios, Firmware::Uefi),
        (with_master_boot_record(), Firmware::Uefi, Firmware::Bios),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let target = disk(directory.path(), DISK);
        let before = contents(&target);
        let error = write_for(file.clone(), &target, Expected::default(), Some(other)).unwrap_err();
        assert!(matches!(error, Error::OtherFirmware { .. }), "{error}");
        assert_eq!(contents(&target), before);
        write_for(file, &target, Expected::default(), Some(right)).unwrap();
    }
}

#[test]
fn a_disk_that_forgets_is_found_out() {
    let directory = tempfile::tempdir().unwrap();
    let target = disk(directory.path(), DISK);
    let forgetful = Failing {
        forgets: true,
        ..Failing::new(&target, usize::MAX)
    };
    let error = write(image(), &forgetful, expected()).unwrap_err();
    assert!(matches!(error, Error::ReadBack { .. }), "{error}");
}

/// A disk whose page cache holds writes to its first 4 MiB and to its end that never reach the medium.
struct LosingCache<'a> {
    disk: &'a DiskTarget,
    cached: Mutex<Vec<(u64, Vec<u8>)>>,
    sector: u64,
}

impl LosingCache<'_> {
    /// What an aligned read gets past the cache.
    fn is_direct(&self, data: &[u8], offset: u64) -> bool {
        data.as_ptr().align_offset(4096) == 0
            && (data.len() as u64).is_multiple_of(self.sector)
            && offset.is_multiple_of(self.sector)
    }
}

impl Target for LosingCache<'_> {
    fn path(&self) -> &Path {
        self.disk.path()
    }
    fn size(&self) -> u64 {
        self.disk.size()
    }
    fn sector_size(&self) -> u32 {
        self.disk.sector_size()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let direct = self.is_direct(buffer, offset);
        self.disk.read_at(buffer, offset)?;
        for (start, data) in self.cached.lock().unwrap().iter().filter(|_| !direct) {
            for (at, byte) in (*start..).zip(data) {
                let place = at.checked_sub(offset).and_then(|at| buffer.get_mut(at as usize));
                place.into_iter().for_each(|place| *place = *byte);
            }
        }
        Ok(())
    }
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        if offset < 4 * MIB as u64 || offset > self.size() - MIB as u64 {
            self.cached.lock().unwrap().push((offset, data.to_vec()));
            return Ok(());
        }
        self.disk.write_at(data, offset)
    }
    fn zero(&self, offset: u64, length: u64) -> io::Result<()> {
        self.disk.zero(offset, length)
    }
    fn zero_by_itself(&self, offset: u64, length: u64) -> io::Result<()> {
        self.disk.zero_by_itself(offset, length)
    }
    fn discard(&self, offset: u64, length: u64) -> io::Result<()> {
        self.disk.discard(offset, length)
    }
    fn sync(&self) -> io::Result<()> {
        self.disk.sync()
    }
    fn reread_partitions(&self) -> io::Result<()> {
        self.disk.reread_partitions()
    }
}

#[test]
fn a_head_that_is_only_in_the_page_cache_is_found_out() {
    // Without data in front of 4 MiB, only the head and the second table are lost.
    let mut image = image();
    image[3 * MIB..5 * MIB].fill(0);
    for sector in [512, 4096] {
        let directory = tempfile::tempdir().unwrap();
        let target = disk(directory.path(), DISK);
        let losing = LosingCache {
            disk: &target,
            cached: Mutex::default(),
            sector,
        };
        let error = write(image.clone(), &losing, Expected::default()).unwrap_err();
        assert!(matches!(error, Error::ReadBack { .. }), "{error}");
    }
}

/// A disk with sectors of 4096 bytes.
struct LargeSectors<'a>(&'a DiskTarget);

impl Target for LargeSectors<'_> {
    fn path(&self) -> &Path {
        self.0.path()
    }
    fn size(&self) -> u64 {
        self.0.size()
    }
    fn sector_size(&self) -> u32 {
        4096
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        panic!("written to")
    }
    fn zero(&self, _: u64, _: u64) -> io::Result<()> {
        panic!("zeroed")
    }
    fn zero_by_itself(&self, _: u64, _: u64) -> io::Result<()> {
        panic!("zeroed")
    }
    fn discard(&self, _: u64, _: u64) -> io::Result<()> {
        panic!("discarded")
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
    fn reread_partitions(&self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn sectors_of_another_size_are_refused_before_the_first_write() {
    let directory = tempfile::tempdir().unwrap();
    let target = disk(directory.path(), DISK);
    for file in [image(), with_master_boot_record()] {
        let error = write(file, &LargeSectors(&target), Expected::default()).unwrap_err();
        let text = error.to_string();
        for part in ["sectors of 4096 bytes", "nvme format --lbaf", "another disk"] {
            assert!(text.contains(part), "{part:?} is missing in: {text}");
        }
        assert!(error.is_hopeless());
    }
    let mut file = Cursor::new(vec![0; IMAGE]);
    GPT::write_protective_mbr_into(&mut file, 4096).unwrap();
    let mut table = GPT::new_from(&mut file, 4096, [7; 16]).unwrap();
    table.write_into(&mut file).unwrap();
    let error = write(file.into_inner(), &target, Expected::default()).unwrap_err();
    assert!(matches!(error, Error::LargeSectorImage), "{error}");
}

#[test]
fn measuring_finds_chunks_and_partitions() {
    let manifest = manifest();
    assert_eq!(manifest.raw_size, IMAGE as u64);
    assert_eq!(
        (manifest.root_partition, manifest.esp_partition),
        (Some(2), Some(1))
    );
    assert_eq!(manifest.digest, manifest.raw_digest);
    let offsets: Vec<u64> = manifest.chunks.iter().map(|chunk| chunk.offset >> 20).collect();
    assert_eq!(offsets, [0, 4, 8, 12, 20]);
}

/// A disk that takes so many writes and then no more, or that loses one.
struct Failing<'a> {
    disk: &'a DiskTarget,
    survives: usize,
    calls: AtomicUsize,
    forgets: bool,
}

impl<'a> Failing<'a> {
    fn new(disk: &'a DiskTarget, survives: usize) -> Self {
        Self {
            disk,
            survives,
            calls: AtomicUsize::new(0),
            forgets: false,
        }
    }

    fn count(&self) -> io::Result<usize> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if call < self.survives {
            return Ok(call);
        }
        Err(io::Error::other("killed here"))
    }
}

impl Target for Failing<'_> {
    fn path(&self) -> &Path {
        self.disk.path()
    }
    fn size(&self) -> u64 {
        self.disk.size()
    }
    fn sector_size(&self) -> u32 {
        self.disk.sector_size()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.disk.read_at(buffer, offset)
    }
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.count()?;
        if self.forgets && offset > 4 * MIB as u64 {
            return Ok(());
        }
        self.disk.write_at(data, offset)
    }
    fn zero(&self, offset: u64, length: u64) -> io::Result<()> {
        self.count()?;
        self.disk.zero(offset, length)
    }
    fn zero_by_itself(&self, offset: u64, length: u64) -> io::Result<()> {
        self.count()?;
        self.disk.zero_by_itself(offset, length)
    }
    fn discard(&self, offset: u64, length: u64) -> io::Result<()> {
        self.count()?;
        self.disk.discard(offset, length)
    }
    fn sync(&self) -> io::Result<()> {
        self.disk.sync()
    }
    fn reread_partitions(&self) -> io::Result<()> {
        self.disk.reread_partitions()
    }
}

#[test]
fn a_published_manifest_is_taken_over_for_its_file_only() {
    let told = manifest();
    let confirmed = |file: Vec<u8>, told: &ImageManifest| {
        let reader = ImageReader::open(Cursor::new(file.clone()))?;
        confirm(reader, Cursor::new(file), told, &mut |_| {})
    };
    assert_eq!(confirmed(image(), &told).unwrap(), told);
    let mut other = image();
    other[4 * MIB] ^= 1;
    assert_ne!(confirmed(other, &told).unwrap().digest, told.digest);
    let too_small = ImageManifest {
        raw_size: MIB as u64,
        ..told.clone()
    };
    assert!(confirmed(image(), &too_small).unwrap().raw_size > too_small.raw_size);
    let blank = confirmed(vec![0; IMAGE], &told);
    assert!(matches!(blank, Err(Error::NoBootLoader)), "{blank:?}");
}
