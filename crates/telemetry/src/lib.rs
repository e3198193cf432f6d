//! What people are shown beside status and logs.
//!
//! Owns core Events ([`Events`]): the one place that writes them, so that `kubectl describe` and `kubectl get events`
//! show the transitions of an object (Normal) and alarms (Warning, also on the machine's Hardware). Refuses to decide what is an alarm, and to fail anybody: an Event that cannot be
//! written is logged, since the status of the object says the same.
#![forbid(unsafe_code)]

mod events;

pub use events::Events;
