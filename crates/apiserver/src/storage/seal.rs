//! Sealing of Secrets before they reach the database.
//!
//! Every value of `data` and the annotation in which `kubectl apply` repeats them is replaced by
//! `sealed:v1:<base64>`; the associated data is `namespace/name/key`, so that a value moved to another object or key
//! does not open.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key as AesKey, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Key;
use crate::error::Error;
use crate::meta::Meta;

const MARK: &str = "sealed:v1:";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const NONCE: usize = 12;

/// A value cannot be sealed, or a sealed one cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("value cannot be sealed or opened")]
pub struct SealError;

/// Seals values for the database.
pub trait Sealer: Send + Sync + std::fmt::Debug {
    /// Encrypts `plain`, bound to `context`.
    fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError>;
    /// Decrypts what [`Sealer::seal`] made with the same context.
    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError>;
}

/// AES-256-GCM with a random nonce for each value.
pub struct AesGcmSealer(Aes256Gcm);

impl std::fmt::Debug for AesGcmSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AesGcmSealer")
    }
}

impl AesGcmSealer {
    /// A sealer with this key; the caller owns the key file.
    pub fn new(key: &[u8; 32]) -> AesGcmSealer {
        AesGcmSealer(Aes256Gcm::new(&AesKey::<Aes256Gcm>::from(*key)))
    }
}

impl Sealer for AesGcmSealer {
    fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce: [u8; NONCE] = rand::random();
        let payload = Payload {
            msg: plain,
            aad: context,
        };
        let body = self
            .0
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| SealError)?;
        Ok([nonce.as_slice(), &body].concat())
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE>().ok_or(SealError)?;
        let payload = Payload {
            msg: body,
            aad: context,
        };
        self.0
            .decrypt(&Nonce::from(*nonce), payload)
            .map_err(|_| SealError)
    }
}

fn context(key: &Key, entry: &str) -> String {
    format!("{}/{}/{entry}", key.namespace, key.name)
}

fn entries(object: &mut Value) -> Vec<(String, &mut Value)> {
    let mut found = Vec::new();
    let Some(map) = object.as_object_mut() else {
        return found;
    };
    for (field, value) in map {
        match (field.as_str(), value) {
            ("data" | "stringData", Value::Object(data)) => {
                found.extend(data.iter_mut().map(|(k, v)| (k.clone(), v)));
            }
            ("metadata", Value::Object(meta)) => {
                let annotations = meta.get_mut("annotations").and_then(Value::as_object_mut);
                if let Some(value) = annotations.and_then(|a| a.get_mut(LAST_APPLIED)) {
                    found.push((LAST_APPLIED.to_owned(), value));
                }
            }
            _ => {}
        }
    }
    found
}

/// True for objects whose values are sealed.
pub(super) fn is_sealed(key: &Key) -> bool {
    &*key.resource == "secrets"
}

/// The object as it goes to the database when its kind is sealed.
pub(super) fn seal_object(
    sealer: &dyn Sealer,
    key: &Key,
    object: &Value,
) -> Result<Option<Value>, SealError> {
    if !is_sealed(key) {
        return Ok(None);
    }
    let mut object = object.clone();
    for (entry, value) in entries(&mut object) {
        let plain = value
            .as_str()
            .map(str::to_owned)
            .unwrap_or_else(|| value.to_string());
        let sealed = sealer.seal(context(key, &entry).as_bytes(), plain.as_bytes())?;
        *value = Value::String(format!("{MARK}{}", STANDARD.encode(sealed)));
    }
    Ok(Some(object))
}

/// The object as it was before [`seal_object`].
pub(super) fn open_object(sealer: &dyn Sealer, key: &Key, mut object: Value) -> Result<Value, Error> {
    if !is_sealed(key) {
        return Ok(object);
    }
    let name = format!("{}/{}", object.namespace(), object.name());
    for (entry, value) in entries(&mut object) {
        let failed = || Error::Unseal { key: name.clone() };
        let text = value
            .as_str()
            .and_then(|t| t.strip_prefix(MARK))
            .ok_or_else(failed)?;
        let sealed = STANDARD.decode(text).map_err(|_| failed())?;
        let plain = sealer
            .open(context(key, &entry).as_bytes(), &sealed)
            .map_err(|_| failed())?;
        *value = Value::String(String::from_utf8(plain).map_err(|_| failed())?);
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(name: &str) -> Key {
        Key {
            resource: "secrets".into(),
            namespace: "ns".into(),
            name: name.into(),
        }
    }

    #[test]
    fn values_are_bound_to_their_place() {
        let sealer = AesGcmSealer::new(&[7; 32]);
        let object = json!({"metadata": {"name": "a", "namespace": "ns", "annotations": {LAST_APPLIED: "canary-1"}},
            "data": {"k": "canary-2"}});
        let sealed = seal_object(&sealer, &key("a"), &object).unwrap().unwrap();
        assert!(!sealed.to_string().contains("canary"), "{sealed}");
        assert_eq!(open_object(&sealer, &key("a"), sealed.clone()).unwrap(), object);
        assert!(open_object(&sealer, &key("b"), sealed.clone()).is_err());
        assert!(open_object(&AesGcmSealer::new(&[8; 32]), &key("a"), sealed).is_err());
    }

    #[test]
    fn other_kinds_stay_as_they_are() {
        let sealer = AesGcmSealer::new(&[7; 32]);
        let other = Key {
            resource: "configmaps".into(),
            namespace: "ns".into(),
            name: "a".into(),
        };
        assert_eq!(
            seal_object(&sealer, &other, &json!({"data": {"k": "v"}})),
            Ok(None)
        );
    }
}
