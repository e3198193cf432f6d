//! One stage of CI and what it cost: wall time, and CPU time of everything that it started.

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::Serialize;

/// A stage.
pub(super) struct Stage {
    pub(super) name: String,
    work: Box<dyn FnOnce() -> anyhow::Result<()>>,
}

/// How a stage ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) name: String,
    pub(super) wall: Duration,
    /// User and system time of the ended children.
    pub(super) cpu: Duration,
    pub(super) error: Option<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    stage: &'a str,
    ok: bool,
    wall_s: f64,
    cpu_s: f64,
    budget_min: Option<f64>,
    error: Option<&'a str>,
}

impl Stage {
    pub(super) fn new(name: &str, work: impl FnOnce() -> anyhow::Result<()> + 'static) -> Stage {
        Stage {
            name: name.to_owned(),
            work: Box::new(work),
        }
    }

    /// Runs it to its end.
    pub(super) fn run(self) -> Outcome {
        let (start, before) = (Instant::now(), cpu_of_children());
        let result = (self.work)();
        let cpu = cpu_of_children().saturating_sub(before);
        let error = result.err().map(|error| format!("{error:#}"));
        Outcome {
            name: self.name,
            wall: start.elapsed(),
            cpu,
            error,
        }
    }
}

impl Outcome {
    /// One line for people.
    pub(super) fn line(&self, budget: Option<f64>) -> String {
        let state = if self.error.is_some() { "FAILED" } else { "ok" };
        let budget = budget.map_or("none".to_owned(), |minutes| format!("{minutes} min"));
        format!(
            "{:24} {state:7} wall {:>6}  cpu {:>6}  budget {budget}",
            self.name,
            clock(self.wall),
            clock(self.cpu)
        )
    }

    /// One line for programs.
    pub(super) fn json(&self, budget_min: Option<f64>) -> serde_json::Result<String> {
        serde_json::to_string(&Line {
            stage: &self.name,
            ok: self.error.is_none(),
            wall_s: self.wall.as_secs_f64(),
            cpu_s: self.cpu.as_secs_f64(),
            budget_min,
            error: self.error.as_deref(),
        })
    }
}

/// Minutes and seconds.
pub(super) fn clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

fn cpu_of_children() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
        return Duration::ZERO;
    };
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_tells_its_error_and_its_childrens_time() {
        let stage = Stage::new("x", || {
            std::process::Command::new("sh")
                .args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"])
                .status()?;
            anyhow::bail!("no")
        });
        let outcome = stage.run();
        assert_eq!(outcome.error.as_deref(), Some("no"));
        assert!(outcome.cpu > Duration::ZERO);
        assert!(outcome.line(Some(2.0)).contains("FAILED"));
        assert!(outcome.json(None).unwrap().contains("\"ok\":false"));
    }

    #[test]
    fn clock_shows_minutes() {
        assert_eq!(clock(Duration::from_secs(125)), "2:05");
    }
}
