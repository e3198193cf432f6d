//! What a connection knows about the answer that it sends: its service says so, its stream makes use of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::served_file::ServedFile;

#[derive(Debug, Default)]
pub(crate) struct Sending(Mutex<Answer>);

#[derive(Debug, Default)]
struct Answer {
    file: Option<Arc<ServedFile>>,
    last: bool,
}

impl Sending {
    /// The answer has the content of `file`; it is short and the `last` of its connection.
    pub(crate) fn set(&self, file: Option<Arc<ServedFile>>, last: bool) {
        *self.lock() = Answer { file, last };
    }

    pub(crate) fn file(&self) -> Option<Arc<ServedFile>> {
        self.lock().file.clone()
    }

    pub(crate) fn is_last(&self) -> bool {
        self.lock().last
    }

    fn lock(&self) -> MutexGuard<'_, Answer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
