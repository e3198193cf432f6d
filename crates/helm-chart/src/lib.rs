//! Helm charts: a `.tgz` in, objects in the order of their application out.
//!
//! Owns: reading a chart and the charts inside of it ([`Chart`]) under limits, merging values as Helm does (the user's above the
//! chart's, a null takes a key away), checking them by the chart's schema, executing the templates with the functions of Go,
//! Sprig and Helm, and the split of what they render into objects, hooks and notes ([`Rendered`]).
//!
//! Refuses: functions that ask the machine or whose result nobody can repeat, but for certificates; hooks and tests are given
//! back apart and run by nobody; `import-values`, library charts and TOML. Every error names the file and the line.
//!
//! Invariant: the same chart, values and release give the same text as `helm template`, to the byte; the tests compare the two.
//! Nothing here does I/O. Fetching a chart and applying its objects is for others.

mod archive;
mod certificates;
mod chart;
mod engine;
mod error;
mod failure;
mod functions;
mod glob;
mod manifests;
mod merge;
mod object;
mod render;
mod value;
mod version;
mod yaml;

pub use chart::Chart;
pub use error::Error;
pub use manifests::{Object, Rendered};
pub use render::Release;
