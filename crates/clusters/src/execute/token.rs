//! kubeadm bootstrap tokens: `[a-z0-9]{6}.[a-z0-9]{16}`.

use jiff::Timestamp;
use rand::RngExt as _;
use resources::Secret;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
/// Letters of the secret part.
const SECRET: usize = 16;

/// A token.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    /// Public part.
    pub(crate) id: String,
    /// The whole.
    pub(crate) whole: Secret<String>,
}

impl Token {
    /// The token of a machine's request. Its id follows from both, so that no token is ever left behind unknown; its secret
    /// comes from the system's random numbers each time.
    pub(crate) fn of(machine_uid: &str, requested_at: Timestamp) -> Self {
        let mut random = rand::rng();
        let secret: String = (0..SECRET)
            .map(|_| letter(random.random_range(0..LETTERS.len())))
            .collect();
        Self::with_secret(machine_uid, requested_at, &secret)
    }

    /// The token of a machine whose data are handed over by its driver and can't be changed afterwards: the same each time, so
    /// that it can be made to last longer. Its secret follows from a key of the cluster's besides.
    pub(crate) fn kept(machine_uid: &str, requested_at: Timestamp, key: &Secret<String>) -> Self {
        // The key in front and the digest of the inner text behind it, as in HMAC (RFC 2104).
        let inner = Sha256::digest(format!("{}/{machine_uid}/{requested_at}", key.reveal()).as_bytes());
        let outer = Sha256::new()
            .chain_update(key.reveal().as_bytes())
            .chain_update(inner);
        let secret: String = letters(outer.finalize().as_slice(), SECRET);
        Self::with_secret(machine_uid, requested_at, &secret)
    }

    fn with_secret(machine_uid: &str, requested_at: Timestamp, secret: &str) -> Self {
        let hash = Sha256::digest(format!("{machine_uid}/{requested_at}").as_bytes());
        let id = letters(hash.as_slice(), 6);
        let whole = Secret::new(format!("{id}.{secret}"));
        Self { id, whole }
    }

    /// Name of its Secret in the new cluster.
    pub(crate) fn secret_name(id: &str) -> String {
        format!("bootstrap-token-{id}")
    }

    /// The Secret in kube-system by which the new cluster knows the token: to join with, and to sign cluster-info.
    pub(crate) fn secret(&self, expires: Timestamp) -> Value {
        let secret = self
            .whole
            .reveal()
            .split_once('.')
            .map_or("", |(_, secret)| secret);
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "bootstrap.kubernetes.io/token",
            "metadata": { "name": Self::secret_name(&self.id), "namespace": "kube-system" },
            "stringData": {
                "token-id": self.id,
                "token-secret": secret,
                "expiration": seconds(expires),
                "usage-bootstrap-authentication": "true",
                "usage-bootstrap-signing": "true",
                "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
            },
        })
    }
}

fn letter(number: usize) -> char {
    char::from(LETTERS[number % LETTERS.len()])
}

/// The first bytes of a digest as letters.
fn letters(digest: &[u8], count: usize) -> String {
    let bytes = digest.iter().take(count);
    bytes.map(|byte| letter(usize::from(*byte))).collect()
}

/// RFC 3339 without a fraction, as the token controller reads it.
pub(crate) fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_kubeadms_form_and_differ() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let (one, again) = (Token::of("m-1", at(1)), Token::of("m-1", at(1)));
        assert_eq!(one.id, again.id);
        assert_ne!(one.whole, again.whole);
        for other in [Token::of("m-2", at(1)), Token::of("m-1", at(2))] {
            assert_ne!(one.id, other.id);
        }
        let key = |text: &str| Secret::new(text.to_owned());
        let kept = |uid: &str, second, text: &str| Token::kept(uid, at(second), &key(text)).whole;
        assert_eq!(kept("m-1", 1, "key"), kept("m-1", 1, "key"));
        assert_eq!(
            Token::kept("m-1", at(1), &key("key")).id,
            one.id,
            "found again by the machine and its request"
        );
        for other in [
            kept("m-2", 1, "key"),
            kept("m-1", 2, "key"),
            kept("m-1", 1, "other"),
        ] {
            assert_ne!(kept("m-1", 1, "key"), other);
        }
        let (id, secret) = one.whole.reveal().split_once('.').unwrap();
        assert_eq!((id.len(), secret.len()), (6, 16));
        assert!(
            one.whole
                .reveal()
                .bytes()
                .all(|byte| byte == b'.' || LETTERS.contains(&byte))
        );
        let object = one.secret("2026-01-02T03:04:05.678Z".parse().unwrap());
        assert_eq!(object["stringData"]["expiration"], "2026-01-02T03:04:05Z");
        assert_eq!(object["metadata"]["name"], format!("bootstrap-token-{id}"));
    }
}
