//! How a file is measured: by a function of the caller's, since this crate knows no image formats.

use std::path::Path;
use std::sync::Arc;

use resources::ImageManifest;

/// Why an image can't be measured.
pub type MeasureError = Box<dyn std::error::Error + Send + Sync>;

/// Describes a file: path, its own name, the manifest that its maker has published if there is one, and a function
/// that hears the bytes read so far. The digest and size of the file are counted in any case. Runs on a thread where
/// it may block.
pub type Measure = Arc<
    dyn Fn(&Path, &str, Option<&ImageManifest>, &mut dyn FnMut(u64)) -> Result<ImageManifest, MeasureError>
        + Send
        + Sync,
>;
