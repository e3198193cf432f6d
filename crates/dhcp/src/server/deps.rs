//! What the service works with.

use std::sync::Arc;

use boot_script::{EventSender, ViewHandle};
use store::records::Records;

/// What the service works with.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Whom to serve.
    pub view: Arc<ViewHandle>,
    /// Where leases are committed.
    pub records: Records,
    /// Where everything else that happens is recorded.
    pub events: EventSender,
}
