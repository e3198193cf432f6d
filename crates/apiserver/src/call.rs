//! One request to a kind, as the verbs see it, and what all requests share.

use std::sync::Arc;

use jiff::Timestamp;
use store::records::Records;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::admission::Admit;
use crate::authn::{Identity, Tokens};
use crate::authz::Role;
use crate::bulk::Bulk;
use crate::definitions::{self, OwnKinds};
use crate::kinds::{Found, Registry};
use crate::storage::Storage;
use crate::wire::negotiate::View;
use crate::wire::path::Target;
use crate::wire::query::Query;

/// Everything that verbs need, shared by all requests.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) storage: Storage,
    registry: watch::Sender<Arc<Registry>>,
    pub(crate) tokens: Tokens,
    pub(crate) roles: Vec<Role>,
    pub(crate) admission: Vec<Admit>,
    pub(crate) records: Option<Records>,
    own_kinds: OwnKinds,
    pub(crate) bulk: Bulk,
    pub(crate) shutdown: CancellationToken,
}

impl Core {
    pub(crate) fn new(
        storage: Storage,
        tokens: Tokens,
        roles: Vec<Role>,
        admission: Vec<Admit>,
        records: Option<Records>,
        own_kinds: OwnKinds,
        shutdown: CancellationToken,
    ) -> Core {
        let registry = watch::Sender::new(Arc::new(Registry::default()));
        Core {
            storage,
            registry,
            tokens,
            roles,
            admission,
            records,
            own_kinds,
            bulk: Bulk::default(),
            shutdown,
        }
    }

    /// The kinds as of now.
    pub(crate) fn registry(&self) -> Arc<Registry> {
        self.registry.borrow().clone()
    }

    /// Wakes when the kinds change.
    pub(crate) fn subscribe_kinds(&self) -> watch::Receiver<Arc<Registry>> {
        self.registry.subscribe()
    }

    /// Takes in what a write of `resource` means for the kinds. One at a time, so that the newest state wins.
    pub(crate) fn after_write(&self, resource: &str) {
        if resource == definitions::RESOURCE {
            self.registry.send_modify(|place| {
                *place = Arc::new(definitions::registry(&self.storage, &self.own_kinds, place));
            });
        }
    }
}

/// One request to a kind, as the verbs see it.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) core: Arc<Core>,
    pub(crate) found: Found,
    pub(crate) target: Target,
    pub(crate) query: Query,
    pub(crate) identity: Identity,
    /// Field manager: the parameter, else the product of the user agent.
    pub(crate) manager: String,
    pub(crate) view: View,
    /// See [`WithoutManagers`](crate::verbs::form::WithoutManagers).
    pub(crate) without_managers: bool,
    pub(crate) now: Timestamp,
    pub(crate) warnings: Vec<String>,
    /// Ends with the listener that took the request.
    pub(crate) connection: CancellationToken,
}

impl Call {
    /// Name in the path; empty for collections.
    pub(crate) fn name(&self) -> &str {
        self.target.name.as_deref().unwrap_or("")
    }

    /// "" or the subresource.
    pub(crate) fn subresource(&self) -> &str {
        self.target.subresource.as_deref().unwrap_or("")
    }
}
