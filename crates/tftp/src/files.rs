//! The files that are served: a map, so no name leads anywhere else.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use crate::error::Error;

/// Name to content. Names are compared without regard to case: firmware asks for names that people typed.
#[derive(Debug, Clone, Default)]
pub struct Files(BTreeMap<String, File>);

#[derive(Debug, Clone)]
struct File {
    name: String,
    content: Bytes,
}

impl Files {
    /// Reads these files of a directory into memory, under their names.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn read(directory: &Path, names: &[&str]) -> Result<Self, Error> {
        let mut files = Self::default();
        for name in names {
            let path = directory.join(name);
            let content = std::fs::read(&path).map_err(|source| Error::File { path, source })?;
            files.insert(*name, content);
        }
        Ok(files)
    }

    /// Adds a file.
    pub fn insert(&mut self, name: impl Into<String>, content: impl Into<Bytes>) {
        let (name, content) = (name.into(), content.into());
        self.0.insert(name.to_ascii_lowercase(), File { name, content });
    }

    /// The file that a request means. Only the last component counts: `<mac>/<file>`, `//<file>` and `.\<file>` are
    /// what firmware and iPXE send for it. A suffix with a trace id (`-00-...`) is not part of the name.
    #[must_use]
    pub fn find(&self, requested: &str) -> Option<(&str, &Bytes)> {
        let name = requested.rsplit(['/', '\\']).next().unwrap_or_default();
        let name = name.to_ascii_lowercase();
        let exact = self.0.get(&name);
        let found = exact.or_else(|| self.0.get(without_trace(&name)?));
        found.map(|file| (file.name.as_str(), &file.content))
    }
}

/// The name before `-00-<32 hex>-<16 hex>-<2 hex>`.
fn without_trace(name: &str) -> Option<&str> {
    let mut parts = name.rsplitn(5, '-');
    let [flags, span, trace, version] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (version == "00" && hex(trace, 32) && hex(span, 16) && hex(flags, 2))
        .then(|| parts.next())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_component_counts() {
        let mut files = Files::default();
        files.insert("snponly.efi", "x");
        let trace = format!("snponly.efi-00-{}-{}-01", "a".repeat(32), "b".repeat(16));
        for name in [
            "snponly.efi",
            "/snponly.efi",
            "52:54:00:00:00:01/snponly.efi",
            ".\\snponly.efi",
            "\\boot\\snponly.efi",
            "//snponly.efi",
            "52:54:00:AA:00:01//snponly.efi",
            "SNPONLY.EFI",
            "snponly.EFI",
            &trace,
        ] {
            assert_eq!(files.find(name).unwrap().0, "snponly.efi", "{name}");
        }
        for name in [
            "",
            "/",
            "snponly.efi/",
            "..",
            "../../etc/passwd",
            "52:54:00:aa:00:01/autoexec.ipxe",
            "snponly.efi-00-1-2-3",
        ] {
            assert!(files.find(name).is_none(), "{name}");
        }
    }
}
