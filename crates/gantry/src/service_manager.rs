//! What `gantry serve` says to systemd (`sd_notify(3)`); without a service manager it says nothing.

use std::time::Duration;

use sd_notify::NotifyState;

/// Everything listens. From now on the watchdog of the unit (`WatchdogSec=`) is told twice in each period that the process is
/// alive, by a task among all others, so that a process whose tasks get no turn any more is started anew.
pub(crate) fn ready() {
    send(&[NotifyState::Ready]);
    let Some(period) = sd_notify::watchdog_enabled() else {
        return;
    };
    tokio::spawn(async move {
        let mut turn = tokio::time::interval((period / 2).max(Duration::from_millis(1)));
        loop {
            turn.tick().await;
            send(&[NotifyState::Watchdog]);
        }
    });
}

/// It was asked to end, and does.
pub(crate) fn stopping() {
    send(&[NotifyState::Stopping]);
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager is not told");
    }
}
