//! The UDP ports of DHCP (RFC 2131 section 4.1).

pub(super) const SERVER_PORT: u16 = 67;

pub(super) const CLIENT_PORT: u16 = 68;
