//! The shell: three controllers on one client, and what they share.

mod context;
mod job;
mod machine;
mod options;
mod retry;
mod task;

use std::sync::{Arc, Mutex};

use kube::Client;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use options::PowerOptions;

use crate::contacts::Contacts;
use context::Context;

/// Runs the controllers until cancelled.
pub async fn run(client: Client, options: PowerOptions, cancel: CancellationToken) {
    let context = Arc::new(Context {
        client,
        options,
        polled: Mutex::default(),
        sent: Mutex::default(),
        contacts: Contacts::default(),
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
