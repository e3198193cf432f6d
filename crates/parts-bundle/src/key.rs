//! Public keys of those who sign bundles, as minisign writes them.

use std::path::Path;

use minisign_verify::{PublicKey, Signature};

use crate::error::{Error, failed};

/// A public key of minisign (Ed25519).
#[derive(Debug, Clone)]
pub struct Key {
    key: PublicKey,
    name: String,
}

impl Key {
    /// From a file that `minisign -G` made.
    ///
    /// # Errors
    /// If there is none, or it holds something else.
    pub fn read(path: &Path) -> Result<Key, Error> {
        let text = std::fs::read_to_string(path).map_err(failed(path, "reading"))?;
        Self::parse(&text, &path.display().to_string())
    }

    /// From the text of such a file, or from its second line alone.
    ///
    /// # Errors
    /// If it is something else; `place` says in the error where it stands.
    pub fn parse(text: &str, place: &str) -> Result<Key, Error> {
        let last = text.trim().lines().next_back().unwrap_or_default().trim();
        let key = PublicKey::from_base64(last).map_err(|error| Error::Key {
            place: place.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Key {
            key,
            name: last.to_owned(),
        })
    }

    /// Whether this key made the signature of these bytes; signatures of the old kind, without a hash, count for nothing.
    pub(crate) fn check(&self, octets: &[u8], signature: &[u8], place: &str) -> Result<(), Error> {
        let wrong = |error: minisign_verify::Error| Error::Signature {
            place: place.to_owned(),
            key: self.name.clone(),
            reason: error.to_string(),
        };
        let signature = Signature::decode(&String::from_utf8_lossy(signature)).map_err(wrong)?;
        self.key.verify(octets, &signature, false).map_err(wrong)
    }
}
