//! The shell: three controllers on one client, and what they share.

mod job;
mod machine;
mod task;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kube::Client;
use kube::runtime::controller::Action;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Error;

/// How often and how much at once.
#[derive(Debug, Clone)]
pub struct PowerOptions {
    /// Time between polls of a BMC.
    pub poll: Duration,
    /// BMCs that are spoken to at once, for each of the three kinds.
    pub concurrency: u16,
}

impl Default for PowerOptions {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(60),
            concurrency: 32,
        }
    }
}

/// What the reconcilers share. The maps save requests, they decide nothing: a restart loses them without harm.
struct Context {
    client: Client,
    options: PowerOptions,
    /// Poll wishes that were granted, by Machine uid.
    polled: Mutex<HashMap<String, String>>,
    /// When a power request was last sent, by Task uid.
    sent: Mutex<HashMap<String, Instant>>,
}

/// Runs the controllers until cancelled.
pub async fn run(client: Client, options: PowerOptions, cancel: CancellationToken) {
    let context = Arc::new(Context {
        client,
        options,
        polled: Mutex::default(),
        sent: Mutex::default(),
    });
    let mut controllers = JoinSet::new();
    controllers.spawn(machine::run(Arc::clone(&context), cancel.clone()));
    controllers.spawn(job::run(Arc::clone(&context), cancel.clone()));
    controllers.spawn(task::run(context, cancel));
    while let Some(ended) = controllers.join_next().await {
        if let Err(error) = ended {
            tracing::error!(error = %error, "power controller ended");
        }
    }
}

/// The API server did not take or give something: again soon.
fn on_error<K>(_: Arc<K>, error: &Error, _: Arc<Context>) -> Action {
    tracing::warn!(error = %causes::line(error), "power reconcile failed");
    Action::requeue(Duration::from_secs(5))
}
