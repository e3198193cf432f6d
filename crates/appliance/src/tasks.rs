//! The tree of tasks: each has a name, all share one cancellation, and the first that ends ends the appliance.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// What is under way when the end is asked for gets so long.
const END: Duration = Duration::from_secs(5);

/// The tasks.
#[derive(Debug)]
pub(crate) struct Tasks {
    running: JoinSet<(&'static str, Result<(), String>)>,
    cancel: CancellationToken,
}

impl Tasks {
    pub(crate) fn new(cancel: CancellationToken) -> Tasks {
        Tasks {
            running: JoinSet::new(),
            cancel,
        }
    }

    /// The token that ends every task.
    pub(crate) fn cancel(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Starts a task that runs until cancelled.
    pub(crate) fn spawn<E: Display + 'static>(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.running
            .spawn(async move { (name, task.await.map_err(|error| error.to_string())) });
    }

    /// Starts a task that cannot fail and runs until cancelled.
    pub(crate) fn spawn_infallible(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.running.spawn(async move {
            task.await;
            (name, Ok(()))
        });
    }

    /// Waits for the end that somebody asks for, or for the first task that ends by itself.
    pub(crate) async fn watch(&mut self) -> Result<(), Error> {
        tokio::select! {
            () = self.cancel.cancelled() => Ok(()),
            Some(ended) = self.running.join_next() => {
                // Everything may have ended because of the cancellation that the other branch did not see yet.
                if self.cancel.is_cancelled() { Ok(()) } else { Err(premature(ended)) }
            }
        }
    }

    /// Ends every task; those that do not end in time are aborted by name in the log.
    pub(crate) async fn end(mut self) {
        self.cancel.cancel();
        let all = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(END, all).await.is_err() {
            tracing::warn!(
                tasks = self.running.len(),
                "tasks did not end in time and are aborted"
            );
            self.running.shutdown().await;
        }
    }
}

fn premature(ended: Result<(&'static str, Result<(), String>), tokio::task::JoinError>) -> Error {
    match ended {
        Ok((task, Ok(()))) => Error::Task {
            task,
            reason: "it should run until the end".to_owned(),
        },
        Ok((task, Err(reason))) => Error::Task { task, reason },
        Err(error) => Error::Task {
            task: "a task",
            reason: error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_that_ends_is_named() {
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("good", std::future::pending::<Result<(), String>>());
        tasks.spawn("bad", async { Err("no reason") });
        let error = tasks.watch().await.unwrap_err();
        assert_eq!(error.to_string(), "bad ended: no reason");
        tasks.end().await;
    }

    #[tokio::test]
    async fn cancelling_ends_all_without_an_error() {
        let mut tasks = Tasks::new(CancellationToken::new());
        let cancel = tasks.cancel();
        let token = cancel.clone();
        tasks.spawn_infallible("waits", async move { token.cancelled().await });
        cancel.cancel();
        tasks.watch().await.unwrap();
        tasks.end().await;
    }
}
