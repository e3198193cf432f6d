//! Cipher suites (IPMI 2.0 table 22-20) that are safe to use: those with authentication, integrity and encryption.

use std::fmt;

use aws_lc_rs::hmac;

/// A combination of algorithms for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CipherSuite {
    /// RAKP-HMAC-SHA1, HMAC-SHA1-96, AES-CBC-128: what every BMC with IPMI 2.0 has to have.
    Three,
    /// RAKP-HMAC-SHA256, HMAC-SHA256-128, AES-CBC-128.
    Seventeen,
}

impl CipherSuite {
    /// Best first.
    pub const ALL: [Self; 2] = [Self::Seventeen, Self::Three];

    /// The suite of a number; `None` for one that is refused.
    #[must_use]
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.number() == number)
    }

    /// Its number in the specification.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Three => 3,
            Self::Seventeen => 17,
        }
    }

    /// Numbers of the algorithms for authentication, integrity and confidentiality.
    pub(crate) const fn algorithms(self) -> [u8; 3] {
        match self {
            Self::Three => [1, 1, 1],
            Self::Seventeen => [3, 4, 1],
        }
    }

    pub(crate) const fn hash(self) -> hmac::Algorithm {
        match self {
            Self::Three => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Seventeen => hmac::HMAC_SHA256,
        }
    }

    /// Bytes of the key exchange codes of RAKP 2 and 3.
    pub(crate) const fn exchange_code(self) -> usize {
        match self {
            Self::Three => 20,
            Self::Seventeen => 32,
        }
    }

    /// Bytes that are kept of integrity codes, of packets and of RAKP 4.
    pub(crate) const fn integrity_code(self) -> usize {
        match self {
            Self::Three => 12,
            Self::Seventeen => 16,
        }
    }
}

impl fmt::Display for CipherSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cipher suite {}", self.number())
    }
}
