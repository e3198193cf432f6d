//! An Ethernet MAC address (EUI-48), written in lower case with colons.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Six bytes. Reads `aa:bb:cc:dd:ee:ff`, `aa-bb-...`, `aabb.ccdd.eeff` and `aabbccddeeff` in any case; writes the
/// first form in lower case, so two spellings of one address are equal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

/// The text is not an EUI-48 address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a MAC address of six bytes, such as 52:54:00:12:34:56")]
pub struct MacError {
    text: String,
}

impl Mac {
    /// From bytes in transmission order.
    #[must_use]
    pub const fn new(octets: [u8; 6]) -> Self {
        Self(octets)
    }

    /// Bytes in transmission order.
    #[must_use]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// Lower case with dashes, as PXELINUX file names and some BMC URLs want it.
    #[must_use]
    pub fn dashed(self) -> String {
        self.to_string().replace(':', "-")
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || MacError {
            text: text.to_owned(),
        };
        let well_placed = match text.len() {
            12 => text.bytes().all(|b| b.is_ascii_hexdigit()),
            14 => separated(text, 4, b'.'),
            17 => separated(text, 2, b':') || separated(text, 2, b'-'),
            _ => false,
        };
        if !well_placed {
            return Err(wrong());
        }
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        let mut octets = [0; 6];
        hex::decode_to_slice(digits, &mut octets).map_err(|_| wrong())?;
        Ok(Self(octets))
    }
}

/// Whether `text` is groups of `width` hex digits with `separator` between them.
fn separated(text: &str, width: usize, separator: u8) -> bool {
    text.bytes().enumerate().all(|(at, byte)| {
        if at % (width + 1) == width {
            byte == separator
        } else {
            byte.is_ascii_hexdigit()
        }
    })
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Mac {
    fn schema_name() -> Cow<'static, str> {
        "Mac".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^([0-9a-f]{2}:){5}[0-9a-f]{2}$" })
    }

    fn inline_schema() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_one_address() {
        for text in [
            "52:54:00:Ab:cd:EF",
            "52-54-00-ab-cd-ef",
            "5254.00ab.cdef",
            "525400abcdef",
        ] {
            assert_eq!(
                text.parse::<Mac>().unwrap().to_string(),
                "52:54:00:ab:cd:ef",
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_not_six_octets_is_refused() {
        for text in [
            "",
            "52:54:00:ab:cd",
            "52:54:00:ab:cd:ef:01",
            "52:54-00:ab:cd:ef",
            "5254:00ab:cdef",
            "zz:54:00:ab:cd:ef",
            "5254.00ab.cde\u{e9}",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }
}
