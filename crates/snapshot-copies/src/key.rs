//! The key that seals copies. People make it and keep it elsewhere too: a copy that only a lost appliance could read is none.

use std::path::Path;
use std::sync::Arc;

use sealed_files::{SealError, Sealer};

use crate::Error;

/// A key of 32 bytes.
#[derive(Debug, Clone)]
pub struct Key(pki::Sealer);

impl Key {
    /// Reads it from a file: 64 hexadecimal digits, as `openssl rand -hex 32` prints them.
    ///
    /// # Errors
    /// When the file can't be read or holds anything else.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
        let key = hex::decode(text.trim()).ok();
        let sealer = key.and_then(|key| pki::Sealer::with_key(&key));
        sealer.map(Self).ok_or_else(|| Error::Setting {
            path: path.to_owned(),
            what: "it must hold 64 hexadecimal digits; make one with: openssl rand -hex 32",
        })
    }

    pub(crate) fn sealer(&self) -> Arc<dyn Sealer> {
        Arc::new(self.clone())
    }
}

impl Sealer for Key {
    fn overhead(&self) -> usize {
        pki::Sealer::OVERHEAD
    }

    fn seal(&self, plain: &[u8], context: &str) -> Result<Vec<u8>, SealError> {
        self.0.seal(plain, context).map_err(|_| SealError)
    }

    fn open(&self, sealed: &[u8], context: &str) -> Result<Vec<u8>, SealError> {
        self.0.open(sealed, context).map_err(|_| SealError)
    }
}
