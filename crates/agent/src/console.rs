//! What a person at the screen sees: short lines on every console that the kernel knows.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use nix::libc;

/// Lines for people. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Console {
    inner: Arc<Mutex<Inner>>,
    start: Instant,
}

#[derive(Debug)]
struct Inner {
    outputs: Vec<File>,
    last: String,
}

impl Console {
    /// All consoles of `/proc/consoles`, so that the serial line and the screen show the same; standard error when there
    /// is none.
    #[must_use]
    pub fn system() -> Self {
        let list = std::fs::read_to_string("/proc/consoles").unwrap_or_default();
        let names = list.lines().filter_map(|line| line.split_whitespace().next());
        let mut outputs: Vec<File> = names
            .filter_map(|name| open(&Path::new("/dev").join(name)))
            .collect();
        if outputs.is_empty() {
            outputs.extend(open(Path::new("/dev/console")));
        }
        Self::new(outputs)
    }

    /// Lines to these files.
    #[must_use]
    pub fn new(outputs: Vec<File>) -> Self {
        Self {
            inner: Arc::new(Mutex::new(Inner {
                outputs,
                last: String::new(),
            })),
            start: Instant::now(),
        }
    }

    /// One line, with the seconds since the agent started. The same line twice in a row is shown once.
    pub fn say(&self, line: impl Display) {
        let line = line.to_string();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.last == line {
            return;
        }
        let text = format!(
            "\r[{:>7.2}] gantry: {line}\r\n",
            self.start.elapsed().as_secs_f32()
        );
        for output in &mut inner.outputs {
            // A serial port without hardware behind it answers with an error; the other consoles still count.
            let _ = output.write_all(text.as_bytes());
        }
        if inner.outputs.is_empty() {
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
        inner.last = line;
    }
}

fn open(path: &Path) -> Option<File> {
    OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_NOCTTY)
        .open(path)
        .ok()
}
