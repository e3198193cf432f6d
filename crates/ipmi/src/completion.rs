//! How a BMC says that a command was done, or why not (IPMI 2.0 table 5-2).

use std::fmt;

/// The first byte of a response's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion(pub u8);

impl Completion {
    pub const OK: Self = Self(0);
    pub const PARAMETER_UNSUPPORTED: Self = Self(0x80);
    pub const NODE_BUSY: Self = Self(0xc0);
    pub const INVALID_COMMAND: Self = Self(0xc1);
    pub const RESERVATION: Self = Self(0xc5);
    pub const LENGTH: Self = Self(0xc7);
    pub const OUT_OF_RANGE: Self = Self(0xc9);
    pub const TOO_MANY_BYTES: Self = Self(0xca);
    pub const NOT_PRESENT: Self = Self(0xcb);
    pub const INVALID_FIELD: Self = Self(0xcc);
    pub const INSUFFICIENT_PRIVILEGE: Self = Self(0xd4);
    pub const NOT_IN_THIS_STATE: Self = Self(0xd5);
    pub const UNSPECIFIED: Self = Self(0xff);

    /// Whether the same command may succeed later.
    #[must_use]
    pub const fn is_temporary(self) -> bool {
        // Busy, time limit, out of space, lost reservation, being initialised, not possible in this state, unspecified.
        matches!(self.0, 0xc0 | 0xc3 | 0xc4 | 0xc5 | 0xce..=0xd3 | 0xd5 | 0xff)
    }
}

impl fmt::Display for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match self.0 {
            0x00 => "done",
            0x80 => "parameter not supported",
            0xc0 => "the BMC is busy",
            0xc1 => "unknown command",
            0xc2 => "command not possible for this part",
            0xc3 => "the BMC ran out of time",
            0xc4 => "the BMC ran out of space",
            0xc5 => "the reservation was taken by somebody else",
            0xc7 => "wrong length of the request",
            0xc8 => "too long",
            0xc9 => "parameter out of range",
            0xca => "cannot return so many bytes",
            0xcb => "no such sensor, data or record",
            0xcc => "invalid field in the request",
            0xd2 => "the BMC starts",
            0xd4 => "the user's privilege does not allow it",
            0xd5 => "not possible in the present state",
            0xd6 => "the function is switched off",
            _ => return write!(f, "completion code {:#04x}", self.0),
        };
        write!(f, "{meaning} ({:#04x})", self.0)
    }
}
