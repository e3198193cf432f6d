//! The two small files that may lie beside an image: `URL.sha256` and `URL.manifest.json`.

use resources::{Digest, ImageManifest};

use crate::Error;

/// Longest sidecar that is read; a manifest has about 100 bytes for each 4 MiB of image.
pub(crate) const LIMIT: usize = 32 << 20;

/// What the sidecars say.
#[derive(Debug, Default)]
pub(crate) struct Sidecars {
    pub(crate) digest: Option<Digest>,
    pub(crate) manifest: Option<ImageManifest>,
}

impl Sidecars {
    /// The digest that the file must have and who says so, if anything does. The Image's own wins.
    pub(crate) fn wanted(&self, spec: Option<Digest>, url: &str) -> Option<(Digest, String)> {
        let own = spec.map(|digest| (digest, "spec.digest of the Image".to_owned()));
        let of_manifest = || {
            let manifest = self.manifest.as_ref()?;
            Some((manifest.digest, format!("{url}.manifest.json")))
        };
        own.or_else(of_manifest)
            .or_else(|| Some((self.digest?, format!("{url}.sha256"))))
    }
}

/// Reads `sha256sum`'s output: for several files the line that names ours, else the first.
pub(crate) fn parse_digest(text: &str, url: &str, file: &str) -> Result<Digest, Error> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).map(|line| {
        let mut words = line.split_whitespace();
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    });
    let first = lines.clone().next();
    let named = lines.find(|(_, name)| name.trim_start_matches('*').rsplit('/').next() == Some(file));
    let (digits, _) = named.or(first).unwrap_or_default();
    digits
        .parse()
        .map_err(|error: resources::DigestError| Error::Sidecar {
            url: url.to_owned(),
            reason: error.to_string(),
        })
}

/// Reads a manifest.
pub(crate) fn parse_manifest(text: &[u8], url: &str) -> Result<ImageManifest, Error> {
    serde_json::from_slice(text).map_err(|error| Error::Sidecar {
        url: url.to_owned(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_file_counts() {
        let a = "aa".repeat(32);
        let b = "bb".repeat(32);
        let read = |text: &str| parse_digest(text, "u", "disk.raw").map(Digest::hex);
        assert_eq!(read(&format!("{a}  other.raw\n{b} *out/disk.raw\n")).unwrap(), b);
        assert_eq!(read(&format!("{a}\n")).unwrap(), a);
        assert_eq!(read(&format!("\n{a}  renamed\n")).unwrap(), a);
        assert!(read("<html>").is_err());
        assert!(read("").is_err());
    }
}
