//! Images made of several zstd frames, which are decoded side by side and read back behind the writer.

use std::error::Error as _;
use std::io::{self, Cursor, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use disk_image::{Error, Expected, Gate, ImageReader, WriteJob, gpt, install, measure};

use super::{DISK, Failing, MIB, RENEWED, assert_installed, contents, disk, image, write};

/// One frame of each piece of `raw`, with a checksum.
fn frames(raw: &[u8], length: usize) -> Vec<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(1).unwrap();
    compressor.include_checksum(true).unwrap();
    raw.chunks(length)
        .map(|piece| compressor.compress(piece).unwrap())
        .collect()
}

/// The digest of the served file is known, as always when the appliance serves it: the raw disk is not hashed in order.
fn expected(file: &[u8]) -> Expected {
    let manifest = measure(
        ImageReader::open(Cursor::new(file.to_vec())).unwrap(),
        "test",
        &mut |_| {},
    )
    .unwrap();
    Expected {
        digest: Some(manifest.digest),
        raw_digest: Some(manifest.raw_digest),
        raw_size: Some(manifest.raw_size),
    }
}

const JOB: WriteJob<'_> = WriteJob {
    expected: Expected {
        digest: None,
        raw_digest: None,
        raw_size: None,
    },
    identities: RENEWED,
    firmware: None,
};

#[test]
fn frames_of_any_size_end_in_the_same_disk() {
    // Whole groups, several frames in a group, groups that are no whole block, and frames that one decoder has to read.
    for length in [4 * MIB, MIB, 3 * MIB, 77 * 4096, 1_000_001, 5 * MIB] {
        let file = frames(&image(), length).concat();
        let directory = tempfile::tempdir().unwrap();
        let target = disk(directory.path(), DISK);
        let expected = expected(&file);
        assert!(!write(file.clone(), &target, expected).unwrap().already);
        assert_installed(&contents(&target));
        assert!(write(file, &target, expected).unwrap().already, "{length}");
    }
}

#[test]
fn killed_half_way_it_cannot_boot_and_starts_anew() {
    let file = frames(&image(), 4 * MIB).concat();
    let expected = expected(&file);
    for survived in [3, 6, 9] {
        let directory = tempfile::tempdir().unwrap();
        let target = disk(directory.path(), DISK);
        write(file.clone(), &Failing::new(&target, survived), expected).unwrap_err();
        assert!(
            gpt::parse(&contents(&target)).is_none(),
            "after {survived} writes"
        );
        assert!(!write(file.clone(), &target, expected).unwrap().already);
        assert_installed(&contents(&target));
    }
}

#[test]
fn a_bad_frame_in_the_middle_is_named_and_leaves_a_disk_that_cannot_boot() {
    let mut parts = frames(&image(), 4 * MIB);
    let at: usize = parts[..3].iter().map(Vec::len).sum();
    *parts[3].last_mut().unwrap() ^= 1;
    let directory = tempfile::tempdir().unwrap();
    let target = disk(directory.path(), DISK);
    let error = write(parts.concat(), &target, Expected::default()).unwrap_err();
    assert!(
        matches!(&error, Error::Source { at, .. } if *at == 12 * MIB as u64),
        "{error}"
    );
    let cause = error.source().unwrap().to_string();
    assert!(
        cause.contains(&format!("zstd frame at byte {at} of the file")),
        "{cause}"
    );
    assert!(contents(&target)[..MIB].iter().all(|byte| *byte == 0));
}

#[test]
fn a_wrong_digest_leaves_a_disk_that_cannot_boot() {
    let file = frames(&image(), 4 * MIB).concat();
    let expected = Expected {
        raw_digest: None,
        ..expected(&frames(&image(), 2 * MIB).concat())
    };
    let directory = tempfile::tempdir().unwrap();
    let target = disk(directory.path(), DISK);
    let error = write(file, &target, expected).unwrap_err();
    assert!(matches!(error, Error::WrongDigest { .. }), "{error}");
    assert!(contents(&target)[..MIB].iter().all(|byte| *byte == 0));
}

/// Bytes of the raw disk that were written, for a source that waits for them.
#[derive(Default)]
struct Written(Mutex<u64>, Condvar);

impl Gate for Written {
    fn admit(&self) -> Result<(), String> {
        Ok(())
    }

    fn progress(&self, phase: &'static str, done: u64, _: Option<u64>) {
        if phase == "writing" {
            *self.0.lock().unwrap() = done;
            self.1.notify_all();
        }
    }
}

/// Gives no byte from `stall` on before so many bytes of the raw disk were written.
struct Stalling {
    file: Cursor<Vec<u8>>,
    stall: u64,
    until: u64,
    written: Arc<Written>,
}

impl Read for Stalling {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.stall.saturating_sub(self.file.position());
        if left > 0 {
            return self.file.by_ref().take(left).read(buffer);
        }
        let (written, limit) = (self.written.0.lock().unwrap(), Duration::from_secs(300));
        let waited = self
            .written
            .1
            .wait_timeout_while(written, limit, |done| *done < self.until);
        if waited.unwrap().1.timed_out() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.file.read(buffer)
    }
}

#[test]
fn what_has_come_is_written_while_the_source_stalls() {
    let parts = frames(&image(), 4 * MIB);
    for whole in 1..parts.len() {
        let written = Arc::new(Written::default());
        let source = Stalling {
            file: Cursor::new(parts.concat()),
            stall: parts[..whole].iter().map(|part| part.len() as u64).sum(),
            until: (whole * 4 * MIB) as u64,
            written: Arc::clone(&written),
        };
        let directory = tempfile::tempdir().unwrap();
        let target = disk(directory.path(), DISK);
        install(ImageReader::open(source).unwrap(), &target, &JOB, &*written).unwrap();
        assert_installed(&contents(&target));
    }
}

/// Counts the bytes that were read.
struct Counting(Cursor<Vec<u8>>, Arc<AtomicU64>);

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.0.read(buffer)?;
        self.1.fetch_add(length as u64, Ordering::SeqCst);
        Ok(length)
    }
}

/// A disk that takes no block: it waits until nothing more is read, and then stops the write.
struct Slow {
    read: Arc<AtomicU64>,
    /// Before anything is written it was asked once.
    asked: AtomicBool,
}

impl Gate for Slow {
    fn admit(&self) -> Result<(), String> {
        if !self.asked.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let (mut last, mut same) = (0, 0);
        while same < 30 {
            std::thread::sleep(Duration::from_millis(10));
            let read = self.read.load(Ordering::SeqCst);
            same = if read == last { same + 1 } else { 0 };
            last = read;
        }
        Err("what was read by now lies in memory".to_owned())
    }

    fn progress(&self, _: &'static str, _: u64, _: Option<u64>) {}
}

#[test]
fn a_slow_disk_holds_up_the_source() {
    // Behind the image comes what can't be compressed: 96 MiB of it.
    let mut raw = image();
    let mut state = 1_u64;
    raw.extend((0..96 * MIB / 8).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    }));
    let read = Arc::new(AtomicU64::new(0));
    let source = Counting(Cursor::new(frames(&raw, 4 * MIB).concat()), Arc::clone(&read));
    let slow = Slow {
        read: Arc::clone(&read),
        asked: AtomicBool::new(false),
    };
    let directory = tempfile::tempdir().unwrap();
    let target = disk(directory.path(), 256 << 20);
    let error = install(ImageReader::open(source).unwrap(), &target, &JOB, &slow).unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error}");
    // Six decoded buffers at most, and six pieces that are not decoded.
    let read = read.load(Ordering::SeqCst);
    assert!(
        read <= 48 * MIB as u64,
        "{read} bytes were read for a disk that takes none"
    );
}
