//! Decisions about nodes: pure.

mod budget;
mod drain;
mod labels_and_taints;
mod pod;
mod readiness;

pub use budget::BudgetView;
pub(crate) use budget::budget_view;
pub use drain::{Drain, DrainPolicy};
pub(crate) use drain::{DrainInput, Refusal, decide};
pub use labels_and_taints::{LabelsAndTaints, NodeChange};
pub(crate) use pod::pod_view;
pub use pod::{Controller, Losses, PodId, PodView, losses};
pub use readiness::Readiness;
pub(crate) use readiness::readiness;
