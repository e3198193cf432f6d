//! Images on the appliance: fetched once, checked, measured, and served to agents from here.
//!
//! Owns the files under `<data>/images` ([`ImageStore`]), fetching by HTTP(S) or from a path of the appliance
//! ([`Fetcher`]), and the status of every `Image` ([`run_images`]). What an image holds is measured by a function that
//! the caller brings ([`Measure`]), because decoding belongs to `disk-image`.
//! Serves nothing: `netboot` reads the paths that the store names.
//!
//! Invariant: a file whose name is a digest has that digest and a manifest that was measured from it, here or by who
//! made it; everything else lies in `partial/` or `quarantine/`. The store shares no file with anybody: it copies what it is
//! given.

mod controller;
mod doubts;
mod error;
mod fetch;
mod measure;
mod retries;
mod sidecar;
mod status;
mod store;

pub use controller::run_images;
pub use error::Error;
pub use fetch::{Fetcher, Progress};
pub use measure::{Measure, MeasureError};
pub use store::ImageStore;
