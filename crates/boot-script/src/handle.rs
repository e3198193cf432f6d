//! Shared access to the newest [`BootView`]: readers never wait, and who needs a change to be visible can wait for it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::view::BootView;

/// The newest view. One writer ([`crate::follow`]), any number of readers.
#[derive(Debug)]
pub struct ViewHandle {
    view: ArcSwap<BootView>,
    changes: watch::Sender<u64>,
}

impl Default for ViewHandle {
    fn default() -> Self {
        Self {
            view: ArcSwap::from_pointee(BootView::default()),
            changes: watch::Sender::new(0),
        }
    }
}

impl ViewHandle {
    /// A handle whose view is not loaded yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// The newest view.
    #[must_use]
    pub fn load(&self) -> Arc<BootView> {
        self.view.load_full()
    }

    /// Replaces the view and wakes who waits.
    pub fn store(&self, view: BootView) {
        self.view.store(Arc::new(view));
        self.changes
            .send_modify(|number| *number = number.wrapping_add(1));
    }

    /// Whether the boot services answer by this session (whatever its phase).
    #[must_use]
    pub fn has_session(&self, namespace: &str, name: &str, boot_id: &str) -> bool {
        self.load()
            .session(namespace, name)
            .is_some_and(|session| session.boot_id == boot_id)
    }

    /// Waits until the view satisfies a condition; give it a timeout of your own.
    pub async fn wait(&self, condition: impl Fn(&BootView) -> bool) {
        let mut changes = self.changes.subscribe();
        // Subscribed before the first look, so no change is missed.
        while !condition(&self.load()) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// A receiver that is marked changed with every new view, for controllers that react to it.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
