//! What is wrong with bytes that should be IPMI.

/// Why bytes were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("{0} ends too early")]
    Short(&'static str),
    #[error("{0} has a length that does not fit")]
    Length(&'static str),
    #[error("{0} has a wrong checksum")]
    Checksum(&'static str),
    #[error("{0} has a value that this implementation does not take")]
    Value(&'static str),
    #[error("the integrity code of a packet does not fit its session")]
    Integrity,
    #[error("the padding of an encrypted packet is wrong")]
    Padding,
}
