//! What the reconcilers share.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use kube::Client;

use super::options::PowerOptions;
use crate::contacts::Contacts;

/// What the reconcilers share. The maps save requests, they decide nothing: a restart loses them without harm.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) options: PowerOptions,
    /// Poll wishes that were granted, by Machine uid.
    pub(super) polled: Mutex<HashMap<String, String>>,
    /// When a power request was last sent, by Task uid.
    pub(super) sent: Mutex<HashMap<String, Instant>>,
    pub(super) contacts: Contacts,
}
