//! The cryptography of a session: proofs of the password, the keys that follow from them, and sealed packets.

use std::fmt;

use aws_lc_rs::cipher::{AES_128, DecryptingKey, DecryptionContext, EncryptingKey, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;

use crate::handshake::Role;
use crate::packet::{PayloadType, covered, sealed_frame, sealed_parts};
use crate::{CipherSuite, Malformed};

const BLOCK: usize = 16;
/// The keys K1 and K2 are the codes of these bytes.
const CONSTANT: usize = 20;

/// Unpredictable bytes; `None` if the system has none.
#[must_use]
pub fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(bytes)
}

/// What both sides know after RAKP 2, and the codes that follow from it.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub suite: CipherSuite,
    pub role: Role,
    pub console: u32,
    pub managed: u32,
    pub console_random: [u8; 16],
    pub managed_random: [u8; 16],
    pub guid: [u8; 16],
}

impl Exchange {
    /// The BMC's proof of the password, in RAKP 2.
    #[must_use]
    pub fn managed_proof(&self, password: &[u8]) -> Vec<u8> {
        let (console, managed) = (self.console.to_le_bytes(), self.managed.to_le_bytes());
        let text = [
            console.as_slice(),
            &managed,
            &self.console_random,
            &self.managed_random,
            &self.guid,
            &self.role.coded(),
        ];
        code(self.suite, password, &text.concat())
    }

    /// The client's proof of the password, in RAKP 3.
    #[must_use]
    pub fn console_proof(&self, password: &[u8]) -> Vec<u8> {
        let console = self.console.to_le_bytes();
        let text = [self.managed_random.as_slice(), &console, &self.role.coded()];
        code(self.suite, password, &text.concat())
    }

    /// The BMC's proof of the session key, in RAKP 4.
    #[must_use]
    pub fn key_proof(&self, keys: &SessionKeys) -> Vec<u8> {
        let managed = self.managed.to_le_bytes();
        let text = [self.console_random.as_slice(), &managed, &self.guid];
        let mut proof = code(self.suite, &keys.session, &text.concat());
        proof.truncate(self.suite.integrity_code());
        proof
    }

    /// The keys of the session. `None` only if the cryptographic library refuses its keys.
    #[must_use]
    pub fn keys(&self, password: &[u8]) -> Option<SessionKeys> {
        let coded = self.role.coded();
        let text = [self.console_random.as_slice(), &self.managed_random, &coded];
        let session = code(self.suite, password, &text.concat());
        let integrity = code(self.suite, &session, &[1; CONSTANT]);
        let encryption = code(self.suite, &session, &[2; CONSTANT]);
        let encryption = encryption.get(..BLOCK)?;
        let key = || UnboundCipherKey::new(&AES_128, encryption).ok();
        Some(SessionKeys {
            suite: self.suite,
            integrity: hmac::Key::new(self.suite.hash(), &integrity),
            encrypt: EncryptingKey::cbc(key()?).ok()?,
            decrypt: DecryptingKey::cbc(key()?).ok()?,
            session,
        })
    }
}

/// Whether a proof is the expected one, compared in constant time.
#[must_use]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    verify_slices_are_equal(a, b).is_ok()
}

fn code(suite: CipherSuite, key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(suite.hash(), key), text)
        .as_ref()
        .to_vec()
}

/// Keys of one session. They show in no Debug output.
pub struct SessionKeys {
    suite: CipherSuite,
    session: Vec<u8>,
    integrity: hmac::Key,
    encrypt: EncryptingKey,
    decrypt: DecryptingKey,
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionKeys")
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

impl Exchange {
    /// Whether RAKP 2 proves that the BMC knows the password.
    #[must_use]
    pub fn accepts_managed(&self, password: &[u8], proof: &[u8]) -> bool {
        same(&self.managed_proof(password), proof)
    }

    /// Whether RAKP 3 proves that the client knows the password.
    #[must_use]
    pub fn accepts_console(&self, password: &[u8], proof: &[u8]) -> bool {
        same(&self.console_proof(password), proof)
    }

    /// Whether RAKP 4 proves that the BMC has the same keys.
    #[must_use]
    pub fn accepts_keys(&self, keys: &SessionKeys, proof: &[u8]) -> bool {
        same(&self.key_proof(keys), proof)
    }
}

impl SessionKeys {
    /// Encrypts a message and makes a datagram of it. `None` only if the cryptographic library fails.
    #[must_use]
    pub fn seal(&self, session: u32, sequence: u32, message: &[u8]) -> Option<Vec<u8>> {
        // The confidentiality trailer: 1, 2, 3 ... and how many of them.
        let filled = message.len().saturating_add(1).next_multiple_of(BLOCK);
        let pad = u8::try_from(filled.saturating_sub(message.len()).saturating_sub(1)).ok()?;
        let mut text = message.to_vec();
        text.extend(1..=pad);
        text.push(pad);
        let context = self.encrypt.encrypt(&mut text).ok()?;
        let DecryptionContext::Iv128(vector) = context else {
            return None;
        };
        let payload = [vector.as_ref().as_slice(), &text].concat();
        let mut datagram = sealed_frame(session, sequence, PayloadType::Message, &payload);
        let tag = hmac::sign(&self.integrity, covered(&datagram));
        datagram.extend(tag.as_ref().get(..self.suite.integrity_code())?);
        Some(datagram)
    }

    /// Checks and decrypts a datagram of the session: its sequence number and message.
    pub fn open(&self, datagram: &[u8]) -> Result<(u32, Vec<u8>), Malformed> {
        let parts = sealed_parts(datagram, self.suite.integrity_code())?;
        let tag = hmac::sign(&self.integrity, parts.covered);
        if !same(
            tag.as_ref().get(..parts.code.len()).unwrap_or_default(),
            parts.code,
        ) {
            return Err(Malformed::Integrity);
        }
        if parts.kind != PayloadType::Message.code() {
            return Err(Malformed::Value("the payload type"));
        }
        let (vector, text) = parts
            .payload
            .split_first_chunk::<BLOCK>()
            .ok_or(Malformed::Short("an encrypted payload"))?;
        if text.is_empty() || !text.len().is_multiple_of(BLOCK) {
            return Err(Malformed::Length("an encrypted payload"));
        }
        let mut text = text.to_vec();
        let context = DecryptionContext::Iv128(FixedLength::from(*vector));
        let plain = self.decrypt.decrypt(&mut text, context);
        let plain = plain.map_err(|_| Malformed::Padding)?;
        let (pad, rest) = plain.split_last().ok_or(Malformed::Padding)?;
        let length = rest
            .len()
            .checked_sub(usize::from(*pad))
            .ok_or(Malformed::Padding)?;
        let (message, padding) = rest.split_at_checked(length).ok_or(Malformed::Padding)?;
        if !padding.iter().copied().eq(1..=*pad) {
            return Err(Malformed::Padding);
        }
        Ok((parts.sequence, message.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Privilege;

    fn exchange(suite: CipherSuite) -> Exchange {
        Exchange {
            suite,
            role: Role::of_user("ops", Privilege::Operator).unwrap(),
            console: 0xa0a1_a2a3,
            managed: 0x0101_0101,
            console_random: [3; 16],
            managed_random: [4; 16],
            guid: [5; 16],
        }
    }

    #[test]
    fn proofs_depend_on_the_password() {
        for suite in CipherSuite::ALL {
            let exchange = exchange(suite);
            let proof = exchange.managed_proof(b"fake-password");
            assert_eq!(proof.len(), suite.exchange_code());
            assert!(exchange.accepts_managed(b"fake-password", &proof));
            assert!(!exchange.accepts_managed(b"fake-passworD", &proof));
            assert!(!exchange.accepts_managed(b"fake-password", &proof[1..]));
            let proof = exchange.console_proof(b"fake-password");
            assert!(exchange.accepts_console(b"fake-password", &proof));
            assert!(!exchange.accepts_console(b"other", &proof));
            let keys = exchange.keys(b"fake-password").unwrap();
            let proof = exchange.key_proof(&keys);
            assert_eq!(proof.len(), suite.integrity_code());
            assert!(exchange.accepts_keys(&keys, &proof));
            assert!(!exchange.accepts_keys(&exchange.keys(b"other").unwrap(), &proof));
            assert!(!format!("{keys:?}").contains("session"));
        }
    }

    #[test]
    fn sealed_and_opened() {
        for suite in CipherSuite::ALL {
            let keys = exchange(suite).keys(b"fake-password").unwrap();
            for length in 0..40 {
                let message: Vec<u8> = (0..length).collect();
                let datagram = keys.seal(9, 77, &message).unwrap();
                assert_eq!(keys.open(&datagram), Ok((77, message)));
            }
            let datagram = keys.seal(9, 77, b"power off").unwrap();
            for at in 4..datagram.len() {
                let mut changed = datagram.clone();
                changed[at] ^= 1;
                assert!(keys.open(&changed).is_err(), "byte {at}");
            }
            let others = exchange(suite).keys(b"other").unwrap();
            assert_eq!(others.open(&datagram), Err(Malformed::Integrity));
        }
    }
}
