//! The actions, one file each. Each is idempotent or checks first: run twice in one attempt, the second time finds its
//! work done; cut off anywhere, the next run finishes it.

mod handover;
mod image2disk;
mod kexec;
mod other_systems;
mod reboot;
mod seed;
mod settings;
mod writefile;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use agent_protocol::ActionKind;
use agent_protocol::v1::{FirstBootResponse, PinnedDisk};
use tokio_util::sync::CancellationToken;

use crate::{Error, Host, Lease};

/// Asks the appliance for a first-boot certificate; blocks.
pub type IssueFirstBoot = Box<dyn Fn(String) -> Result<FirstBootResponse, Error> + Send + Sync>;

/// What an action works with.
pub struct ActionContext {
    /// Settings.
    pub environment: BTreeMap<String, String>,
    /// Identities of the disks that the settings name.
    pub disks: Vec<PinnedDisk>,
    /// The action was handed out before in this attempt.
    pub resumed: bool,
    /// Workflow and attempt: the same for the same action again, different for any other.
    pub identity: String,
    /// The machine.
    pub host: Arc<dyn Host>,
    /// The right to write.
    pub lease: Arc<Lease>,
    /// Where progress and log lines go.
    pub board: Arc<Board>,
    /// Set when the action must stop.
    pub cancel: CancellationToken,
    /// For the seed.
    pub issue_first_boot: IssueFirstBoot,
}

impl std::fmt::Debug for ActionContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Settings may hold user data.
        f.debug_struct("ActionContext")
            .field("resumed", &self.resumed)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// What an action achieved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// For people.
    pub message: String,
    /// For the machine's record.
    pub facts: BTreeMap<String, String>,
    /// `Some`: leave the installer once this is reported; true is kexec.
    pub leave: Option<bool>,
}

impl Outcome {
    fn done(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    fn fact(mut self, name: &str, value: impl Into<String>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
}

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

    pub(crate) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lines that could not be delivered go before the newer ones.
    pub(crate) fn put_back(&self, mut lines: Vec<String>) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        lines.append(&mut log);
        *log = lines;
    }
}

/// Carries out the action of this kind. Blocks.
///
/// # Errors
/// What the action says; nothing is half-applied that the next run would not finish.
pub fn run(kind: &str, context: &ActionContext) -> Result<Outcome, Error> {
    let unknown = || Error::UnknownAction {
        kind: kind.to_owned(),
    };
    match ActionKind::by_name(kind).ok_or_else(unknown)? {
        ActionKind::Image2disk => image2disk::run(context),
        ActionKind::Writefile => writefile::run(context),
        ActionKind::Seed => seed::run(context),
        ActionKind::Kexec => kexec::run(context),
        ActionKind::Reboot => reboot::run(context),
        ActionKind::Handover => handover::run(context),
    }
}
