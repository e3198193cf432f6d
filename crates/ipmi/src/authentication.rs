//! What a BMC says about how sessions are opened, before there is one (IPMI 2.0 §22.13).

use crate::reader::Reader;
use crate::{Malformed, Privilege};

/// The channel that the question comes over.
const THIS_CHANNEL: u8 = 0x0e;
const EXTENDED: u8 = 0x80;

/// Data of a Get Channel Authentication Capabilities request that wants to hear of IPMI 2.0.
#[must_use]
pub fn channel_authentication_request(privilege: Privilege) -> [u8; 2] {
    [THIS_CHANNEL | EXTENDED, privilege.number()]
}

/// The answer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)]
pub struct ChannelAuthentication {
    pub channel: u8,
    /// IPMI 2.0 with RMCP+.
    pub rmcp_plus: bool,
    /// Sessions of IPMI 1.5 without any authentication.
    pub unauthenticated: bool,
    /// A user without name and password, or a name without password, is let in.
    pub anonymous: bool,
    /// A BMC key (Kg) is set, which this implementation does not have.
    pub bmc_key: bool,
}

impl ChannelAuthentication {
    pub fn parse(data: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(data, "the channel's capabilities");
        let [channel, kinds, status, extended] = reader.array()?;
        Ok(Self {
            channel,
            rmcp_plus: kinds & EXTENDED != 0 && extended & 2 != 0,
            unauthenticated: kinds & 1 != 0,
            anonymous: status & 3 != 0,
            bmc_key: status & 0x20 != 0,
        })
    }

    #[must_use]
    pub fn to_bytes(self) -> [u8; 8] {
        let bit = |on: bool, bit: u8| if on { bit } else { 0 };
        let kinds = bit(self.rmcp_plus, EXTENDED) | bit(self.unauthenticated, 1);
        // There are users with names.
        let status = 4 | bit(self.anonymous, 1) | bit(self.bmc_key, 0x20);
        [self.channel, kinds, status, bit(self.rmcp_plus, 2), 0, 0, 0, 0]
    }
}
