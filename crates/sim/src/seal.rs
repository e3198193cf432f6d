//! Sealed files with a key of their own.

use std::path::Path;
use std::sync::Arc;

use pki::KeyDir;
use sealed_files::{SealError, SealedFiles, Sealer};

/// The sealed files of a scratch folder, where their key lies too: opened again, they are the same ones.
#[must_use]
pub fn sealed_files(folder: &Path) -> SealedFiles {
    let keys = KeyDir::open(folder.join("seal-keys")).unwrap();
    let sealer = pki::Sealer::load_or_create(&keys).unwrap();
    SealedFiles::open(folder.join("sealed-files"), Arc::new(Seal(sealer))).unwrap()
}

#[derive(Debug)]
struct Seal(pki::Sealer);

impl Sealer for Seal {
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
