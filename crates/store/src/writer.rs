//! The one writer of a database: group commit.
//!
//! Commands wait in a bounded queue. The task takes what is there, runs each inside a savepoint of one
//! `BEGIN IMMEDIATE` transaction, keeps taking what arrives meanwhile (up to [`WINDOW`] or the batch limit),
//! commits once, publishes in commit order and only then answers. A lone command pays one sync and no wait.
//!
//! Each call of SQLite goes to the thread of the connection and back, so statements that follow each other go together.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use crate::Error;

/// How long a batch may go on taking commands before its commit.
const WINDOW: Duration = Duration::from_millis(2);
/// Commands that may wait; a sender beyond that waits for room.
const QUEUE: usize = 4096;

/// Begins a batch, and the savepoint of its first command.
const BEGIN: &str = "BEGIN IMMEDIATE; SAVEPOINT command";
/// Keeps what a command has done, and begins the savepoint of the next one.
const NEXT: &str = "RELEASE command; SAVEPOINT command";
/// Takes back what a command has done. Its savepoint stays, and is that of the next one.
const UNDO: &str = "ROLLBACK TO command";
/// Keeps the batch, with what its last command has done.
const COMMIT: &str = "COMMIT";
/// Takes the batch back.
const ROLLBACK: &str = "ROLLBACK";

/// Handle to the writer task.
#[derive(Debug, Clone)]
pub struct Writer {
    queue: mpsc::Sender<Message>,
}

enum Message {
    Run(Box<dyn Job>),
    Stop(oneshot::Sender<()>),
}

/// A command with its answer channel, types erased.
trait Job: Send {
    /// Runs the command; `true` keeps its changes.
    fn run<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, bool>;
    /// After the commit: publishes a kept result. Called in commit order for the whole batch before any answer.
    fn publish(&mut self);
    /// Sends the answer; `failed` replaces a kept result when the commit did not happen.
    fn answer(self: Box<Self>, failed: Option<Error>);
}

struct Command<F, P, T, E> {
    work: Option<F>,
    publish: Option<P>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, P, T, E> Job for Command<F, P, T, E>
where
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, E>> + Send,
    P: FnOnce(&T) + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn run<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, bool> {
        async move {
            let Some(work) = self.work.take() else {
                return false;
            };
            let outcome = AssertUnwindSafe(async { work(connection).await })
                .catch_unwind()
                .await;
            let result = outcome.unwrap_or_else(|_| Err(Error::Panicked.into()));
            let keep = result.is_ok();
            self.result = Some(result);
            keep
        }
        .boxed()
    }

    fn publish(&mut self) {
        if let (Some(Ok(value)), Some(publish)) = (&self.result, self.publish.take())
            && std::panic::catch_unwind(AssertUnwindSafe(|| publish(value))).is_err()
        {
            // What is committed is not in memory: going on would serve, and overwrite, what the file no longer holds.
            // The next start reads the file.
            tracing::error!("publishing a committed write panicked; the process ends");
            std::process::abort();
        }
    }

    fn answer(mut self: Box<Self>, failed: Option<Error>) {
        let result = match (self.result.take(), failed) {
            (Some(Err(e)), _) => Err(e),
            (_, Some(error)) => Err(error.into()),
            (Some(result), None) => result,
            (None, None) => Err(Error::Stopped.into()),
        };
        // A caller that went away has no use for the answer; the write stands.
        let _ = self.reply.send(result);
    }
}

impl Writer {
    /// Runs `work` inside the next batch. Its changes are durable when this returns `Ok`; on `Err` there are none.
    pub async fn write<F, T, E>(&self, work: F) -> Result<T, E>
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.write_then(work, |_: &T| {}).await
    }

    /// As [`Writer::write`], and calls `publish` with the value after the commit and before any answer of the
    /// batch leaves, in the order in which the commands ran. `publish` runs on the writer: it must be short. When it
    /// panics the process ends, because memory and file would differ for good.
    pub async fn write_then<F, P, T, E>(&self, work: F, publish: P) -> Result<T, E>
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        P: FnOnce(&T) + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Command {
            work: Some(work),
            publish: Some(publish),
            result: None,
            reply,
        };
        if self.queue.send(Message::Run(Box::new(job))).await.is_err() {
            return Err(Error::Stopped.into());
        }
        answer.await.unwrap_or_else(|_| Err(Error::Stopped.into()))
    }

    /// Ends the task after the commands already queued.
    pub(crate) async fn stop(&self) {
        let (done, wait) = oneshot::channel();
        if self.queue.send(Message::Stop(done)).await.is_ok() {
            let _ = wait.await;
        }
    }
}

pub(crate) struct WriterTask {
    connection: SqliteConnection,
    queue: mpsc::Receiver<Message>,
    batch: usize,
}

impl WriterTask {
    /// Starts the task; it ends when the last handle is dropped or on [`Writer::stop`].
    pub(crate) fn spawn(connection: SqliteConnection, batch: usize) -> Writer {
        let (sender, queue) = mpsc::channel(QUEUE);
        tokio::spawn(
            WriterTask {
                connection,
                queue,
                batch: batch.max(1),
            }
            .run(),
        );
        Writer { queue: sender }
    }

    async fn run(mut self) {
        let mut stopping = None;
        while stopping.is_none() {
            match self.queue.recv().await {
                Some(Message::Run(job)) => stopping = self.commit_batch(job).await,
                Some(Message::Stop(done)) => stopping = Some(done),
                None => break,
            }
        }
        self.queue.close();
        if let Err(error) = self.connection.close().await {
            tracing::warn!(error = %error, "closing the database failed");
        }
        if let Some(done) = stopping {
            let _ = done.send(());
        }
    }

    /// One transaction, beginning with `first`. Returns the stop request if one came in between.
    async fn commit_batch(&mut self, first: Box<dyn Job>) -> Option<oneshot::Sender<()>> {
        if let Err(e) = self.execute(BEGIN).await {
            // Fails when there is no transaction, as nearly always.
            let _ = self.execute(ROLLBACK).await;
            first.answer(Some(Error::Commit(Arc::new(e))));
            return None;
        }
        let began = Instant::now();
        let (mut jobs, mut stopping, mut broken) = (Vec::new(), None, None);
        let (mut next, mut used) = (Some(first), false);
        while let Some(mut job) = next.take() {
            match self.run_in_savepoint(job.as_mut(), used).await {
                Ok(keeps) => used = keeps,
                Err(e) => broken = Some(e),
            }
            jobs.push(job);
            if broken.is_some() || jobs.len() >= self.batch || began.elapsed() >= WINDOW {
                break;
            }
            match self.queue.try_recv() {
                Ok(Message::Run(job)) => next = Some(job),
                Ok(Message::Stop(done)) => stopping = Some(done),
                Err(_) => {}
            }
        }
        let committed = match broken {
            None => self.execute(COMMIT).await,
            Some(e) => Err(e),
        };
        let failed = committed.err().map(|e| Error::Commit(Arc::new(e)));
        match &failed {
            Some(error) => {
                tracing::error!(error = %error, "a batch of writes was rolled back");
                // Fails when SQLite has rolled back already.
                let _ = self.execute(ROLLBACK).await;
            }
            None => jobs.iter_mut().for_each(|job| job.publish()),
        }
        for job in jobs {
            job.answer(failed.clone());
        }
        stopping
    }

    /// Runs a command in the savepoint, or in a new one when a command before has `used` it. Tells whether it keeps its
    /// changes. An `Err` means that the transaction itself can no longer be trusted.
    async fn run_in_savepoint(&mut self, job: &mut dyn Job, used: bool) -> Result<bool, sqlx::Error> {
        if used {
            self.execute(NEXT).await?;
        }
        let keeps = job.run(&mut self.connection).await;
        if !keeps {
            self.execute(UNDO).await?;
        }
        Ok(keeps)
    }

    async fn execute(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        sqlx::query(sql).execute(&mut self.connection).await.map(drop)
    }
}
