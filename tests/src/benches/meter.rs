//! What a load took: time, and of the processor for the load generator, which is this process, and for the server.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use super::process::Process;

/// A measurement that has begun.
pub(super) struct Meter<'a> {
    server: &'a Process,
    server_cpu: Duration,
    client_cpu: Duration,
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
            client_cpu: own_cpu()?,
            began: Instant::now(),
        })
    }

    pub(super) fn read(self) -> anyhow::Result<Reading> {
        let wall = self.began.elapsed();
        let client = own_cpu()?.saturating_sub(self.client_cpu);
        Ok(Reading {
            wall,
            server: self.server.cpu()?.saturating_sub(self.server_cpu),
            client: client.as_secs_f64() / wall.as_secs_f64(),
        })
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
