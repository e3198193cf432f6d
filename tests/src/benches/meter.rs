//! What a load took: time, and of the processor for the load generator, which is this process, and for the server.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use super::process::Process;

/// A measurement that has begun.
pub(super) struct Meter<'a> {
    server: &'a Process,
    server_cpu: Duration,
    share: Share,
}

/// How much of a core this process uses, from a moment on.
pub(super) struct Share {
    cpu: Duration,
    began: Instant,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) wall: Duration,
    /// Processor time of the server.
    pub(super) server: Duration,
    /// Share of a core that the load generator used.
    pub(super) client: f64,
}

impl Meter<'_> {
    pub(super) fn start(server: &Process) -> anyhow::Result<Meter<'_>> {
        Ok(Meter {
            server,
            server_cpu: server.cpu()?,
            share: Share::start()?,
        })
    }

    pub(super) fn read(self) -> anyhow::Result<Reading> {
        Ok(Reading {
            wall: self.share.began.elapsed(),
            client: self.share.read()?,
            server: self.server.cpu()?.saturating_sub(self.server_cpu),
        })
    }
}

impl Share {
    pub(super) fn start() -> anyhow::Result<Share> {
        Ok(Share {
            cpu: own_cpu()?,
            began: Instant::now(),
        })
    }

    pub(super) fn read(&self) -> anyhow::Result<f64> {
        let used = own_cpu()?.saturating_sub(self.cpu);
        Ok(used.as_secs_f64() / self.began.elapsed().as_secs_f64())
    }
}

fn own_cpu() -> nix::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into())
}

/// The time that one of a hundred exceeds, milliseconds.
pub(super) fn late(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    let late = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
    late.as_secs_f64() * 1e3
}
