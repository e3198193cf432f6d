//! The UUID that the firmware of a machine tells (SMBIOS, DSP0134 §7.2.1).

use std::str::FromStr;

/// A UUID that identifies a machine. SMBIOS stores its first three fields in little endian and some BMCs print the bytes as
/// stored, so two spellings are equal. What boards carry whose maker set none is no such UUID.
#[derive(Debug, Clone, Copy)]
pub struct SystemUuid([u8; 16]);

/// The text is no UUID that identifies a machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no UUID that identifies a machine")]
pub struct SystemUuidError {
    text: String,
}

/// What boards carry whose maker set none (American Megatrends' default).
const DEFAULT: [u8; 16] = [3, 0, 2, 0, 4, 0, 5, 0, 0, 6, 0, 7, 0, 8, 0, 9];

impl FromStr for SystemUuid {
    type Err = SystemUuidError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
        let mut bytes = [0; 16];
        let decoded = hex::decode_to_slice(digits, &mut bytes).is_ok();
        let [first, ..] = bytes;
        let repeated = bytes.iter().all(|byte| *byte == first);
        if decoded && !repeated && bytes != DEFAULT && bytes != swapped(DEFAULT) {
            return Ok(Self(bytes));
        }
        Err(SystemUuidError {
            text: text.to_owned(),
        })
    }
}

impl PartialEq for SystemUuid {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || swapped(self.0) == other.0
    }
}

impl Eq for SystemUuid {}

/// The same UUID with its first three fields in the other byte order.
fn swapped(bytes: [u8; 16]) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    let [i, j, k, l, m, n, o, p] = rest;
    [d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_spellings_of_one_uuid_are_equal() {
        let uuid = |text: &str| text.parse::<SystemUuid>().unwrap();
        let one = uuid("22988ada-3f61-4c68-932c-a630b89284e0");
        assert_eq!(one, uuid("22988ADA3F614C68932CA630B89284E0"));
        assert_eq!(one, uuid(" DA8A9822-613F-684C-932C-A630B89284E0 "), "as stored");
        assert_ne!(one, uuid("22988ada-3f61-4c68-932c-a630b89284e1"));
    }

    #[test]
    fn a_placeholder_identifies_nothing() {
        for text in [
            "",
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "03000200-0400-0500-0006-000700080009",
            "00020003-0004-0005-0006-000700080009",
            "22988ada-3f61-4c68-932c-a630b89284",
            "not a UUID",
        ] {
            assert!(text.parse::<SystemUuid>().is_err(), "{text}");
        }
    }
}
