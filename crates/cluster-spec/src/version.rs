//! Versions of Kubernetes as cluster documents name them.

/// Major and minor of a version such as `1.35`.
pub(crate) fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.strip_prefix('v').unwrap_or(text).split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
