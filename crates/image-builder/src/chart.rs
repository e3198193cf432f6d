//! The recipe of Cilium's Helm chart: the Go module that holds it, the digest of that module's release, and the images that
//! its nodes pull.

use resources::gantry::ReleaseChart;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::recipe;

const FILE: &str = "cilium/chart.json";
/// Name of the chart in a Release.
const NAME: &str = "cilium";

/// `images/cilium/chart.json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ChartRecipe {
    /// Path of the module.
    pub(crate) module: String,
    /// Its version, `v1.19.4`.
    pub(crate) version: String,
    /// Its digest, as `go.sum` has it.
    pub(crate) sum: String,
    /// Folder of the chart, in the module.
    pub(crate) folder: String,
    /// Images that nodes pull.
    pub(crate) images: Vec<String>,
}

impl ChartRecipe {
    pub(crate) fn read() -> Result<Self> {
        serde_json::from_str(recipe::text(FILE)?).map_err(|error| Error::Recipe {
            file: FILE.to_owned(),
            reason: error.to_string(),
        })
    }

    /// Name of its file in a parts folder, `cilium-1.19.4.tgz`.
    pub(crate) fn file(&self) -> String {
        format!("{NAME}-{}.tgz", self.version.trim_start_matches('v'))
    }

    /// As a Release names it.
    pub(crate) fn of_release(&self) -> ReleaseChart {
        ReleaseChart {
            name: NAME.to_owned(),
            version: self.version.trim_start_matches('v').to_owned(),
            source: self.file(),
            digest: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_images_are_those_of_the_chart() {
        let recipe = ChartRecipe::read().unwrap();
        assert_eq!(recipe.images.len(), 2);
        for image in &recipe.images {
            assert!(image.ends_with(&format!(":{}", recipe.version)), "{image}");
        }
        assert_eq!(
            recipe.file(),
            format!("cilium-{}.tgz", recipe.version.trim_start_matches('v'))
        );
    }
}
