//! What people are shown beside status and logs.
//!
//! Owns core Events ([`Events`]): the one place that writes them, so that `kubectl describe` and `kubectl get events`
//! show the transitions of an object (Normal) and alarms (Warning, also on the machine's Hardware). Owns the recorder of the process's
//! metrics and their text for Prometheus ([`start_metrics`], [`exposition`]). Refuses to decide what is an alarm or a metric, and to fail anybody:
//! an Event that cannot be written is logged, since the status of the object says the same.
#![forbid(unsafe_code)]

mod events;
mod metrics;

pub use crate::metrics::{describe_metrics, exposition, keep_metrics, start_metrics};
pub use events::Events;
