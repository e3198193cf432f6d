//! What is wrong with an image that machines are to be installed with.

use resources::gantry::{Image, ImageState};

/// The image's reason with its address, by which most reasons begin already.
pub(crate) fn named(url: &str, reason: Option<&str>) -> String {
    match reason {
        None => format!("image {url} is being fetched"),
        Some(reason) if reason.starts_with(url) => format!("image {reason}"),
        Some(reason) => format!("image {url}: {reason}"),
    }
}

/// Why an image can't be installed before somebody puts it right. `version` is the Kubernetes version of the Release.
pub(crate) fn image_fault(image: &Image, version: &str) -> Option<String> {
    let status = image.status.as_ref()?;
    let url = &image.spec.url;
    if status.state == ImageState::Failed {
        return Some(named(url, status.reason.as_deref()));
    }
    let inside = status.manifest.as_ref()?.kubernetes_version.as_deref()?;
    let differs = status.state == ImageState::Ready && inside != version;
    differs.then(|| {
        format!(
            "image {url} holds Kubernetes {inside}, the Release wants {version}; build the image again or name another"
        )
    })
}
