//! The time budget: minutes of each stage on two cold cores.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;

/// Cores that the minutes are meant for.
const CORES: f64 = 2.0;
/// How many times its budget a stage may take before CI fails: machines of the same kind differ by half in CPU time.
const TOLERANCE: f64 = 1.5;

/// What a stage's CPU time means for CI.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Within its budget.
    Within,
    /// Over its budget, but no more than machines differ.
    Warning(String),
    /// So far over its budget that the stage itself has grown, or without a budget.
    Fault(String),
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Budget {
    /// Minutes of all stages together.
    total: f64,
    /// Minutes of each stage.
    minutes: BTreeMap<String, f64>,
}

impl Budget {
    pub(super) fn read(path: &Path) -> anyhow::Result<Budget> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Budget::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> anyhow::Result<Budget> {
        let budget: Budget = toml::from_str(text)?;
        let sum: f64 = budget.minutes.values().sum();
        if sum > budget.total {
            bail!(
                "the stages take {sum} minutes together, {} are allowed: make one cheaper",
                budget.total
            );
        }
        Ok(budget)
    }

    pub(super) fn minutes(&self, stage: &str) -> Option<f64> {
        self.minutes.get(stage).copied()
    }

    pub(super) fn total(&self) -> Duration {
        Duration::from_secs_f64(self.total * 60.0)
    }

    /// Compares a stage's CPU time with its budget.
    pub(super) fn judge(&self, stage: &str, cpu: Duration) -> Verdict {
        let Some(minutes) = self.minutes(stage) else {
            return Verdict::Fault(format!("{stage}: no line in crates/xtask/ci-budget.toml"));
        };
        let budget = minutes * CORES;
        let used = cpu.as_secs_f64() / 60.0;
        let text = format!("{stage}: {used:.1} CPU minutes, the budget is {budget:.1}");
        if used > budget * TOLERANCE {
            Verdict::Fault(text)
        } else if used > budget {
            Verdict::Warning(text)
        } else {
            Verdict::Within
        }
    }

    /// Lines that no stage has.
    pub(super) fn lines_without<'a>(&self, stages: impl Iterator<Item = &'a str>) -> Vec<String> {
        let stages: BTreeSet<&str> = stages.collect();
        let unused = self.minutes.keys().filter(|name| !stages.contains(name.as_str()));
        unused
            .map(|name| format!("{name}: in crates/xtask/ci-budget.toml, but no such stage ran"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "total = 3\n[minutes]\nfmt = 1\ntest = 2\n";

    #[test]
    fn the_gate_is_on_cpu_minutes_of_two_cores() {
        let budget = Budget::parse(GOOD).unwrap();
        let judged = |seconds| budget.judge("fmt", Duration::from_secs(seconds));
        let text = |used| format!("fmt: {used} CPU minutes, the budget is 2.0");
        assert_eq!(judged(119), Verdict::Within);
        assert_eq!(judged(150), Verdict::Warning(text("2.5")));
        assert_eq!(judged(192), Verdict::Fault(text("3.2")));
        let nameless = budget.judge("doc", Duration::ZERO);
        assert!(matches!(nameless, Verdict::Fault(reason) if reason.contains("no line")));
    }

    #[test]
    fn a_line_without_a_stage_is_found() {
        let budget = Budget::parse(GOOD).unwrap();
        assert_eq!(
            budget.lines_without(["fmt", "test"].into_iter()),
            Vec::<String>::new()
        );
        assert_eq!(budget.lines_without(["fmt"].into_iter()).len(), 1);
    }

    #[test]
    fn the_sum_must_fit() {
        assert!(Budget::parse("total = 2\n[minutes]\nfmt = 1\ntest = 2\n").is_err());
    }
}
