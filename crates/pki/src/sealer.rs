//! Sealing of secrets: AES-256-GCM with a random 96-bit nonce for each value and the value's place as associated data.

use std::fmt;

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};

use crate::{Error, KeyDir};

const NONCE: usize = 12;
const TAG: usize = 16;

/// Seals and opens values with the site's key. A sealed value is nonce, cipher text and tag.
#[derive(Clone)]
pub struct Sealer {
    cipher: Aes256Gcm,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// Bytes that a sealed value is longer than the plain one.
    pub const OVERHEAD: usize = NONCE + TAG;

    /// Name of the key's file in the key directory.
    pub const FILE: &str = "seal.key";

    /// With the key in `seal.key`, 32 random bytes made at the first start.
    pub fn load_or_create(keys: &KeyDir) -> Result<Self, Error> {
        let content = keys.load_or_create(Self::FILE, || Ok(rand::random::<[u8; 32]>().to_vec()))?;
        Self::with_key(&content).ok_or_else(|| Error::Damaged {
            path: keys.file(Self::FILE),
            what: format!("{} bytes instead of 32", content.len()),
        })
    }

    /// With a key of 32 bytes; none when it has another length.
    #[must_use]
    pub fn with_key(key: &[u8]) -> Option<Self> {
        let key: [u8; 32] = key.try_into().ok()?;
        Some(Self {
            cipher: Aes256Gcm::new(&Key::<Aes256Gcm>::from(key)),
        })
    }

    /// Seals `plain` for the place that `context` names.
    pub fn seal(&self, plain: &[u8], context: &str) -> Result<Vec<u8>, Error> {
        let nonce: [u8; NONCE] = rand::random();
        let payload = Payload {
            msg: plain,
            aad: context.as_bytes(),
        };
        let body = self
            .cipher
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| Error::Seal {
                context: context.to_owned(),
            })?;
        let mut sealed = nonce.to_vec();
        sealed.extend(body);
        Ok(sealed)
    }

    /// Opens what [`Sealer::seal`] made for the same place.
    pub fn open(&self, sealed: &[u8], context: &str) -> Result<Vec<u8>, Error> {
        let refused = || Error::Unseal {
            context: context.to_owned(),
        };
        let (nonce, body) = sealed.split_first_chunk::<NONCE>().ok_or_else(refused)?;
        let payload = Payload {
            msg: body,
            aad: context.as_bytes(),
        };
        self.cipher
            .decrypt(&Nonce::from(*nonce), payload)
            .map_err(|_| refused())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_values_open_only_in_their_place_and_unchanged() {
        let scratch = tempfile::tempdir().unwrap();
        let keys = KeyDir::open(scratch.path().join("keys")).unwrap();
        let sealer = Sealer::load_or_create(&keys).unwrap();
        let sealed = sealer.seal(b"fake-password", "ns/bmc/password").unwrap();
        let again = sealer.seal(b"fake-password", "ns/bmc/password").unwrap();
        assert_ne!(sealed, again, "a nonce is never used twice");
        assert_eq!(sealed.len(), b"fake-password".len() + Sealer::OVERHEAD);
        let reopened = Sealer::load_or_create(&keys).unwrap();
        assert_eq!(
            reopened.open(&sealed, "ns/bmc/password").unwrap(),
            b"fake-password"
        );
        assert!(reopened.open(&sealed, "ns/other/password").is_err());
        for at in [0, NONCE, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(reopened.open(&changed, "ns/bmc/password").is_err(), "octet {at}");
        }
        assert!(reopened.open(&sealed[..NONCE - 1], "ns/bmc/password").is_err());
    }

    #[test]
    fn a_short_key_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let keys = KeyDir::open(scratch.path().join("keys")).unwrap();
        keys.load_or_create(Sealer::FILE, || Ok(vec![0; 16])).unwrap();
        assert!(matches!(
            Sealer::load_or_create(&keys),
            Err(Error::Damaged { .. })
        ));
    }
}
