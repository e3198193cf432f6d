//! What every story on a rack begins and ends with.

use lab::UpOptions;

use super::Options;
use crate::end::End;
use crate::rack::{Rack, missing};

/// Tells a story on a rack of this shape; `prefix` begins the seed that is drawn when none was asked for.
pub(crate) async fn on_rack(
    options: Options,
    prefix: &str,
    mut shape: UpOptions,
    story: impl AsyncFnOnce(&mut Rack) -> anyhow::Result<()>,
) -> anyhow::Result<End> {
    if let Some(what) = missing() {
        return Ok(End::Skipped(what));
    }
    shape.ipmi_only |= options.ipmi_only;
    let seed = options.seed_or(prefix);
    println!("seed {seed}");
    Rack::up(&seed, shape)?.during(story).await?;
    Ok(End::Passed)
}
