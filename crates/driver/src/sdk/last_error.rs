//! The last error that concerned the driver as a whole.

use std::sync::{Arc, Mutex, PoisonError};

/// Shared by the services.
#[derive(Debug, Clone, Default)]
pub(super) struct LastError(Arc<Mutex<String>>);

impl LastError {
    pub(super) fn set(&self, text: &str) {
        text.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
