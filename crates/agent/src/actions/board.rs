//! Progress and log lines of a running action, until they are reported.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

/// Progress and log lines of a running action.
#[derive(Debug)]
pub struct Board {
    /// 255: unknown.
    percent: AtomicU8,
    phase: Mutex<&'static str>,
    log: Mutex<Vec<String>>,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            percent: AtomicU8::new(u8::MAX),
            phase: Mutex::new("running"),
            log: Mutex::default(),
        }
    }
}

/// Lines that are kept for the next report; more than that is a loop.
const MOST_LINES: usize = 1000;

impl Board {
    /// One line for the action's log.
    pub fn log(&self, line: impl Into<String>) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() < MOST_LINES {
            log.push(line.into());
        }
    }

    /// What is going on and how far it is.
    pub fn set_progress(&self, phase: &'static str, percent: Option<u8>) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
        self.percent.store(
            percent.map_or(u8::MAX, |percent| percent.min(100)),
            Ordering::Relaxed,
        );
    }

    pub(crate) fn progress(&self) -> (Option<u32>, &'static str) {
        let percent = self.percent.load(Ordering::Relaxed);
        let phase = *self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        ((percent <= 100).then_some(u32::from(percent)), phase)
    }

    /// The lines since the last look.
    pub fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lines that could not be delivered go before the newer ones.
    pub(crate) fn put_back(&self, mut lines: Vec<String>) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        lines.append(&mut log);
        *log = lines;
    }
}
