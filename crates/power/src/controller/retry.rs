//! What follows an error of the API server.

use std::sync::Arc;
use std::time::Duration;

use kube::runtime::controller::Action;

use super::context::Context;
use crate::Error;

/// The API server did not take or give something: again soon.
pub(super) fn on_error<K>(_: Arc<K>, error: &Error, _: Arc<Context>) -> Action {
    tracing::warn!(error = %causes::line(error), "power reconcile failed");
    Action::requeue(Duration::from_secs(5))
}
