//! Pure decisions about the rows of a Workflow: making them, whose turn it is, what a report changes.

pub(crate) mod data_disks;
pub(crate) mod disks;
mod hints;
mod render;
mod report;
mod rows;
mod turn;

pub use render::{Rendered, rendered};
pub(crate) use report::end;
pub use report::{Told, Unfit, report};
pub use rows::{Place, current, row};
pub(crate) use rows::{before as row_before, kind, leaves, purpose};
pub use turn::{Turn, hand_out, turn};

#[cfg(test)]
pub(crate) mod samples;
