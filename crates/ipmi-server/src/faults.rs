//! What can go wrong between a BMC and its client, switched on for a number of replies.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// What happens to a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does not arrive.
    Lose,
    /// A bit of its end is another.
    Garble,
    /// Its second half is missing.
    Truncate,
    /// It arrives twice.
    Duplicate,
    /// The request does not arrive.
    LoseRequest,
}

/// Faults in the order in which replies meet them.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    queue: Mutex<VecDeque<Fault>>,
}

impl Faults {
    pub(crate) fn inject(&self, fault: Fault, count: usize) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.extend(std::iter::repeat_n(fault, count));
    }

    pub(crate) fn next(&self) -> Option<Fault> {
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }
}

/// The datagrams that arrive in place of a reply.
pub(crate) fn arriving(fault: Option<Fault>, mut reply: Vec<u8>) -> Vec<Vec<u8>> {
    match fault {
        None => vec![reply],
        Some(Fault::Lose | Fault::LoseRequest) => Vec::new(),
        Some(Fault::Garble) => {
            if let Some(last) = reply.last_mut() {
                *last ^= 1;
            }
            vec![reply]
        }
        Some(Fault::Truncate) => {
            reply.truncate(reply.len() / 2);
            vec![reply]
        }
        Some(Fault::Duplicate) => vec![reply.clone(), reply],
    }
}
