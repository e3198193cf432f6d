//! Images that come to be: imported from an archive, or pulled from a registry. Both take longer than a call may, so they go
//! on between calls; a driver that dies begins anew, and the daemon names an image when it is complete.

mod archive;
mod jobs;

use std::path::PathBuf;

use driver::v1::{EnsureImageRequest, ImageStatus, Reason};
use driver::{Fault, json};
use serde::Deserialize;
use serde_json::Value;

use crate::daemon::Daemon;
use crate::machine::reference;
use crate::marks::IMAGE_SHA256;
use crate::status::{accepted, settled};
use jobs::Jobs;
pub(crate) use jobs::UnderWay;

/// Digits of the digest that are the tag of an image that was imported.
const TAG_DIGITS: usize = 12;

/// `EnsureImageRequest.source`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    archive: Option<PathBuf>,
}

/// The images that this process makes.
#[derive(Debug, Default)]
pub(crate) struct Images(Jobs);

impl Images {
    /// See `EnsureImage`.
    pub(crate) async fn ensure(
        &self,
        daemon: &Daemon,
        request: &EnsureImageRequest,
    ) -> Result<ImageStatus, Fault> {
        reference(&request.image_ref, "/image_ref")?;
        let source = request.source.as_ref().map(json::from_struct).unwrap_or_default();
        let source: Source = serde_json::from_value(Value::Object(source))
            .map_err(|error| Fault::invalid("/source", error.to_string()))?;
        let is_digest =
            request.sha256.len() == 64 && request.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        match source.archive {
            Some(_) if !is_digest => Err(Fault::invalid(
                "/sha256",
                "an archive is imported with its digest: 64 hexadecimal digits",
            )),
            Some(archive) => self.imported(daemon, request, archive).await,
            None => {
                let name = pulled_name(&request.image_ref, &request.sha256);
                let under_way = self.pulled(daemon, &name).await?;
                Ok(answer(name, under_way))
            }
        }
    }

    /// Has an image be there that its registry has; none when it is.
    pub(crate) async fn pulled(&self, daemon: &Daemon, name: &str) -> Result<Option<UnderWay>, Fault> {
        if daemon.image(name).await?.is_some() {
            return Ok(None);
        }
        let (daemon, reference) = (daemon.clone(), name.to_owned());
        let key = daemon.key(name);
        let job = self.0.step(key, |job| async move {
            let mut layers = jobs::Layers::default();
            daemon.pull(&reference, |line| job.set(layers.add(line))).await
        })?;
        Ok(Some(job))
    }

    async fn imported(
        &self,
        daemon: &Daemon,
        request: &EnsureImageRequest,
        archive: PathBuf,
    ) -> Result<ImageStatus, Fault> {
        let repository = &request.image_ref;
        if repository.contains([':', '@']) || repository.chars().any(|letter| letter.is_ascii_uppercase()) {
            let text = "an image that is imported gets its tag from its digest: give a name without tag, in small letters";
            return Err(Fault::invalid("/image_ref", text));
        }
        let sha256 = request.sha256.to_ascii_lowercase();
        let tag = sha256.get(..TAG_DIGITS).unwrap_or_default().to_owned();
        let name = format!("{repository}:{tag}");
        if let Some(image) = daemon.image(&name).await? {
            if image.config.labels.get(IMAGE_SHA256) == Some(&sha256) {
                return Ok(answer(name, None));
            }
            let text = format!("image {name} exists and was not made of this archive");
            return Err(Fault::new(Reason::Foreign, text).without_effect());
        }
        let import = archive::Import {
            daemon: daemon.clone(),
            archive,
            repository: repository.clone(),
            tag,
            sha256,
        };
        match self
            .0
            .step(daemon.key(&name), |job| async move { import.run(&job).await })
        {
            Ok(job) => Ok(answer(name, Some(job))),
            // Another archive, or none: the same call ends no better.
            Err(fault) if fault.reason() == Reason::InvalidSpec => Ok(ImageStatus {
                outcome: Some(settled()),
                terminal: Some(*fault.detail),
                ..ImageStatus::default()
            }),
            Err(fault) => Err(fault),
        }
    }

    /// Ends what is under way.
    pub(crate) fn close(&self) {
        self.0.close();
    }
}

/// The reference that has the digest, when there is one.
fn pulled_name(reference: &str, sha256: &str) -> String {
    if sha256.is_empty() || reference.contains('@') {
        return reference.to_owned();
    }
    let (folder, last) = reference
        .rsplit_once('/')
        .map_or(("", reference), |(folder, last)| (folder, last));
    let last = last.split(':').next().unwrap_or_default();
    let slash = if folder.is_empty() { "" } else { "/" };
    format!("{folder}{slash}{last}@sha256:{sha256}")
}

fn answer(name: String, under_way: Option<UnderWay>) -> ImageStatus {
    match under_way {
        None => ImageStatus {
            outcome: Some(settled()),
            provider_image_id: name,
            ..ImageStatus::default()
        },
        Some(job) => ImageStatus {
            outcome: Some(accepted()),
            done_bytes: job.done,
            total_bytes: job.total,
            ..ImageStatus::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::pulled_name;

    #[test]
    fn a_digest_takes_the_place_of_a_tag() {
        for (reference, sha256, wanted) in [
            ("node:v1", "", "node:v1"),
            ("node:v1", "00", "node@sha256:00"),
            (
                "r.example.com:5000/a/node",
                "00",
                "r.example.com:5000/a/node@sha256:00",
            ),
            (
                "r.example.com:5000/a/node:v1",
                "00",
                "r.example.com:5000/a/node@sha256:00",
            ),
            ("node@sha256:11", "00", "node@sha256:11"),
        ] {
            assert_eq!(pulled_name(reference, sha256), wanted);
        }
    }
}
