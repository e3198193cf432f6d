//! Helm charts as the coordinator asks for them: from the parts folder, from a path of the appliance, or by URL.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use resources::Digest;
use resources::gantry::ReleaseChart;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;

use crate::parts::Parts;

/// Bytes of a chart.
const LIMIT: usize = 5 * 1024 * 1024;
/// For a whole download.
const DOWNLOAD: Duration = Duration::from_secs(60);

/// Reads charts.
#[derive(Debug)]
pub(crate) struct Charts {
    folder: Option<PathBuf>,
}

impl Charts {
    pub(crate) fn new(parts: Option<&Parts>) -> Self {
        Self {
            folder: parts.map(Parts::charts),
        }
    }

    async fn content(&self, chart: &ReleaseChart) -> Result<Vec<u8>, String> {
        let source = chart.source.as_str();
        if source.starts_with("https://") || source.starts_with("http://") {
            if source.starts_with("http://") && chart.digest.is_none() {
                return Err(format!(
                    "{source}: name the digest in the Release: http does not show whose file it is"
                ));
            }
            return download(source).await;
        }
        let path = Path::new(source);
        if path.is_absolute() {
            return file(path).await;
        }
        if path.file_name() != Some(path.as_os_str()) {
            return Err(format!(
                "{source:?} is neither a file name, an absolute path nor a URL; correct spec.charts of the Release"
            ));
        }
        let Some(folder) = &self.folder else {
            return Err(format!(
                "this appliance has no parts folder with {source}; start it with `parts`, or name a path or URL in spec.charts \
                 of the Release"
            ));
        };
        let built = file(&folder.join(path)).await;
        built.map_err(|why| {
            format!("{why}; build it with `gantry image build cilium` and `gantry image export`, or name a path or URL in spec.charts of the Release")
        })
    }
}

impl clusters::Charts for Charts {
    fn read<'a>(&'a self, chart: &'a ReleaseChart) -> BoxFuture<'a, Result<Vec<u8>, String>> {
        async move {
            let content = self.content(chart).await?;
            let found = Digest::new(Sha256::digest(&content).into());
            match chart.digest {
                Some(wanted) if wanted != found => Err(format!(
                    "{}: its digest is {found}, and the Release names {wanted}",
                    chart.source
                )),
                _ => Ok(content),
            }
        }
        .boxed()
    }
}

/// Proxies come from the environment.
async fn download(url: &str) -> Result<Vec<u8>, String> {
    let failed = |error: reqwest::Error| format!("{url}: {}", causes::line(&error));
    let client = reqwest::Client::builder()
        .timeout(DOWNLOAD)
        .build()
        .map_err(failed)?;
    let mut answer = client.get(url).send().await.map_err(failed)?;
    if !answer.status().is_success() {
        return Err(format!("{url}: the server answers {}", answer.status()));
    }
    let mut content = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(failed)? {
        content.extend_from_slice(&part);
        if content.len() > LIMIT {
            return Err(too_large(url));
        }
    }
    Ok(content)
}

async fn file(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut content = Vec::new();
    let mut limited = file.take(LIMIT as u64 + 1);
    limited.read_to_end(&mut content).await.map_err(failed)?;
    if content.len() > LIMIT {
        return Err(too_large(&path.display().to_string()));
    }
    Ok(content)
}

fn too_large(of: &str) -> String {
    format!("{of} is larger than {LIMIT} bytes, which no chart is")
}

#[cfg(test)]
mod tests {
    use clusters::Charts as _;

    use super::*;

    fn chart(source: &str, digest: Option<Digest>) -> ReleaseChart {
        ReleaseChart {
            name: "cilium".to_owned(),
            version: "1.19.4".to_owned(),
            source: source.to_owned(),
            digest,
        }
    }

    #[tokio::test]
    async fn charts_come_from_the_parts_and_from_paths_with_their_digest() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.tgz"), "chart").unwrap();
        let charts = Charts {
            folder: Some(folder.path().to_owned()),
        };
        let digest = Digest::new(Sha256::digest("chart").into());
        let path = folder.path().join("a.tgz").display().to_string();
        for source in ["a.tgz", path.as_str()] {
            assert_eq!(charts.read(&chart(source, Some(digest))).await.unwrap(), b"chart");
        }
        let other = Digest::new(Sha256::digest("x").into());
        for (source, digest, words) in [
            ("a.tgz", Some(other), "its digest is"),
            ("b.tgz", None, "gantry image build cilium"),
            ("../a.tgz", None, "neither a file name"),
            ("http://192.0.2.1/a.tgz", None, "name the digest"),
            ("/none/a.tgz", None, "/none/a.tgz"),
        ] {
            let why = charts.read(&chart(source, digest)).await.unwrap_err();
            assert!(why.contains(words), "{source}: {why}");
        }
        let alone = Charts { folder: None };
        let why = alone.read(&chart("a.tgz", None)).await.unwrap_err();
        assert!(why.contains("no parts folder"), "{why}");
    }
}
