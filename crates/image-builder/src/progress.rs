//! What a build tells while it runs.

use std::time::Duration;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Another process builds; this one waits for it.
    Waiting,
    /// The part is in the cache.
    Cached {
        /// Part.
        part: &'static str,
    },
    /// The part's recipe starts.
    Started {
        /// Part.
        part: &'static str,
        /// Number of steps.
        steps: u32,
    },
    /// A step starts.
    Step {
        /// Part.
        part: &'static str,
        /// From 1.
        number: u32,
        /// Number of steps.
        of: u32,
        /// What it does.
        name: String,
    },
    /// Share of the current step, where it is known.
    Percent {
        /// Part.
        part: &'static str,
        /// 0 to 100.
        percent: u8,
    },
    /// A line that a program printed.
    Line {
        /// Part.
        part: &'static str,
        /// The line.
        text: String,
    },
    /// The part is built and in the cache.
    Finished {
        /// Part.
        part: &'static str,
        /// How long it took.
        took: Duration,
    },
}

/// Where events go.
pub type Progress = dyn Fn(Event) + Send + Sync;
