//! What the provider has, and what it knows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::object::Object;

/// The only network and the images that it knows.
pub(crate) const NETWORK: &str = "lan";
pub(crate) const IMAGES: [&str; 2] = ["ubuntu-22.04", "ubuntu-24.04"];
/// The password that it takes.
pub const PASSWORD: &str = "correct-Horse&battery<7>";
/// Objects in one answer to a list.
const PAGE: usize = 3;

/// What the routes share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) objects: BTreeMap<u64, Object>,
    pub(crate) sessions: std::collections::BTreeSet<String>,
    pub(crate) last_id: u64,
    pub(crate) last_session: u64,
    pub(crate) logins: u64,
    pub(crate) trouble: Option<Trouble>,
}

/// What is wrong with the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Each answer takes so long; what was asked for is done before.
    Slow(Duration),
    /// It answers that it can't be used now, and does nothing.
    Unavailable,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// One page of objects that come after one.
    pub(crate) fn page(&self, after: u64) -> Vec<Object> {
        let following = self.objects.range(after.saturating_add(1)..);
        following.take(PAGE).map(|(_, object)| object.clone()).collect()
    }
}
