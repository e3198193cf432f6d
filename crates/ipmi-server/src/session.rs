//! The sessions of a BMC: those that are being opened, and those that are open.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ipmi::{Exchange, Privilege, SessionKeys, Window};

/// Sessions that are being opened at a time; the oldest makes room.
const OPENING: usize = 16;

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) stage: Stage,
    pub(crate) last: Instant,
}

/// How far a session is.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Asked for: how the client names it, and the agreed suite.
    Asked {
        console: u32,
        suite: ipmi::CipherSuite,
    },
    /// RAKP 2 was sent.
    Proving(Box<Exchange>),
    Open(Box<Opened>),
}

/// An open session.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) console: u32,
    pub(crate) keys: SessionKeys,
    pub(crate) window: Window,
    /// Of the last packet that was sent.
    pub(crate) sent: u32,
    pub(crate) limit: Privilege,
    pub(crate) privilege: Privilege,
    /// The last request and its answer: a request that comes again is not done again.
    pub(crate) answered: Option<(Vec<u8>, Vec<u8>)>,
    /// RAKP 3 and its answer, which may have been lost.
    pub(crate) finished: (Vec<u8>, Vec<u8>),
}

/// All sessions of a BMC, by the number that the BMC gave them.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    all: HashMap<u32, Session>,
    last_number: u32,
    opened: u64,
    most: usize,
}

impl Sessions {
    /// Forgets what has been silent for too long.
    pub(crate) fn expire(&mut self, idle: Duration, now: Instant) {
        self.all
            .retain(|_, session| now.duration_since(session.last) < idle);
    }

    /// Open sessions now.
    pub(crate) fn open_now(&self) -> usize {
        self.all
            .values()
            .filter(|session| matches!(session.stage, Stage::Open(_)))
            .count()
    }

    /// Sessions that were ever opened.
    pub(crate) fn ever_opened(&self) -> u64 {
        self.opened
    }

    /// The most sessions that were open at once.
    pub(crate) fn most_open(&self) -> usize {
        self.most
    }

    /// A new number for a session that is asked for.
    pub(crate) fn ask(&mut self, stage: Stage, now: Instant) -> u32 {
        let opening = |session: &Session| !matches!(session.stage, Stage::Open(_));
        if self.all.values().filter(|session| opening(session)).count() >= OPENING {
            let oldest = self.all.iter().filter(|(_, session)| opening(session));
            if let Some(number) = oldest
                .min_by_key(|(_, session)| session.last)
                .map(|(number, _)| *number)
            {
                self.all.remove(&number);
            }
        }
        self.last_number = self.last_number.wrapping_add(1).max(1);
        self.all.insert(self.last_number, Session { stage, last: now });
        self.last_number
    }

    pub(crate) fn get(&mut self, number: u32) -> Option<&mut Session> {
        self.all.get_mut(&number)
    }

    /// Takes a session on to its next stage.
    pub(crate) fn advance(&mut self, number: u32, stage: Stage, now: Instant) {
        self.opened += u64::from(matches!(stage, Stage::Open(_)));
        self.all.insert(number, Session { stage, last: now });
        self.most = self.most.max(self.open_now());
    }

    pub(crate) fn remove(&mut self, number: u32) {
        self.all.remove(&number);
    }
}
