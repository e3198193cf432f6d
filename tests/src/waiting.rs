//! Waiting for a condition instead of sleeping; the last value is in the error.

use std::fmt::{self, Debug};
use std::future::Future;
use std::time::Duration;

use anyhow::bail;
use kube::Api;
use nix::sys::signal::Signal;
use serde::de::DeserializeOwned;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// Pause after the first look. Later ones are longer: a look may start programs, and emulated machines need the processors.
const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(3);

/// Waits until `look` gives `Ok`; after `limit` the last `Err` is the error.
pub(crate) async fn until<T, E, F>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> F,
) -> anyhow::Result<T>
where
    E: Debug,
    F: Future<Output = Result<T, E>>,
{
    let end = Instant::now() + limit;
    let mut pause = SHORTEST;
    loop {
        match look().await {
            Ok(value) => return Ok(value),
            Err(last) if Instant::now() > end => {
                bail!("{what}: not within {} s; last: {last:?}", limit.as_secs())
            }
            Err(_) => {
                tokio::time::sleep(pause).await;
                pause = LONGEST.min(pause.mul_f64(1.3));
            }
        }
    }
}

/// Why work ended that somebody did not want to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AskedToEnd(pub(crate) Signal);

impl fmt::Display for AskedToEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asked to end by {}", self.0)
    }
}

impl std::error::Error for AskedToEnd {}

/// The same work, but it ends with [`AskedToEnd`] when somebody asks this program to end, so that the caller clears up.
pub(crate) async fn unless_asked_to_end<T>(
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let asked = tokio::select! {
        result = work => return result,
        _ = terminate.recv() => Signal::SIGTERM,
        _ = interrupt.recv() => Signal::SIGINT,
        _ = hang_up.recv() => Signal::SIGHUP,
    };
    Err(AskedToEnd(asked).into())
}

/// Waits until the API has an object of this name.
pub(crate) async fn until_there<K>(api: &Api<K>, name: &str, limit: Duration) -> anyhow::Result<()>
where
    K: Clone + Debug + DeserializeOwned,
{
    until(&format!("{name} is there"), limit, || async {
        api.get(name).await.map(drop).map_err(|error| error.to_string())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_ends_the_work_with_an_error() {
        let signals = async {
            tokio::task::yield_now().await;
            nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM)?;
            std::future::pending::<anyhow::Result<()>>().await
        };
        let error = unless_asked_to_end(signals).await.unwrap_err();
        assert_eq!(
            error.downcast_ref(),
            Some(&AskedToEnd(Signal::SIGTERM)),
            "{error}"
        );
        assert_eq!(unless_asked_to_end(async { Ok(3) }).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn the_last_value_is_told() {
        let error = until("it", Duration::ZERO, || async { Err::<(), _>("seven") })
            .await
            .unwrap_err();
        assert!(error.to_string().contains("seven"), "{error}");
        assert_eq!(
            until("it", Duration::ZERO, || async { Ok::<_, ()>(3) })
                .await
                .unwrap(),
            3
        );
    }
}
