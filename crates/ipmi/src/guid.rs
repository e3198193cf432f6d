//! The GUID of a machine, and in which byte order a BMC means it.

use std::fmt::Write as _;

/// The UUID that a BMC means by 16 bytes; `None` where they fit several byte orders or none.
///
/// The specification wants a UUID's bytes from last to first (§20.8); most BMCs send them in the order of SMBIOS or of
/// RFC 9562, which the version and variant bits tell. A wrong UUID would be taken for another machine's.
#[must_use]
pub fn host_uuid(wire: [u8; 16]) -> Option<String> {
    let mut reversed = wire;
    reversed.reverse();
    match (fits(wire), fits(reversed)) {
        (true, false) => Some(text(wire)),
        (false, true) => Some(text(reversed)),
        _ => None,
    }
}

/// Whether version and variant stand where a UUID has them, with its first fields in either byte order.
fn fits(bytes: [u8; 16]) -> bool {
    let [_, _, _, _, _, _, low, high, variant, ..] = bytes;
    let version = |byte: u8| (1..=8).contains(&(byte >> 4));
    variant >> 6 == 0b10 && (version(low) || version(high))
}

fn text(bytes: [u8; 16]) -> String {
    let mut text = String::new();
    for (at, byte) in bytes.into_iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The bytes that a BMC sends for a UUID, in the order of RFC 9562; `None` if the text is no UUID.
#[must_use]
pub fn wire_guid(uuid: &str) -> Option<[u8; 16]> {
    let digits: Vec<u32> = uuid
        .chars()
        .filter(|c| *c != '-')
        .map(|c| c.to_digit(16))
        .collect::<Option<_>>()?;
    let mut bytes = [0; 16];
    if digits.len() != 32 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "22988ada-3f61-4c68-932c-a630b89284e0";

    #[test]
    fn byte_orders() {
        let plain = wire_guid(UUID).unwrap();
        assert_eq!(host_uuid(plain).as_deref(), Some(UUID));
        let mut reversed = plain;
        reversed.reverse();
        assert_eq!(host_uuid(reversed).as_deref(), Some(UUID));
        // As SMBIOS stores it: the same UUID to whoever compares both orders.
        let mut stored = plain;
        stored[..4].reverse();
        stored[4..6].reverse();
        stored[6..8].reverse();
        assert_eq!(
            host_uuid(stored).as_deref(),
            Some("da8a9822-613f-684c-932c-a630b89284e0")
        );
        assert_eq!(host_uuid([0; 16]), None);
        assert_eq!(host_uuid([0xff; 16]), None);
        for wrong in ["", "22988ada", "22988ada-3f61-4c68-932c-a630b89284eg"] {
            assert_eq!(wire_guid(wrong), None, "{wrong}");
        }
    }
}
