//! What a client says of itself: firmware, iPXE, architecture (RFC 4578, RFC 3004, IANA processor architectures).

use super::options::Options;
use super::packet::Request;

/// The boot program that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// Firmware that fetches by TFTP.
    Pxe,
    /// UEFI firmware that fetches by HTTP.
    HttpBoot,
    /// iPXE, stock or Tinkerbell's.
    Ipxe,
    /// An operating system: no boot data.
    System,
}

/// What matters of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) program: Program,
    /// First known value of option 93.
    pub(crate) arch: Option<u16>,
    /// Option 97, if well formed.
    pub(crate) guid: Option<Vec<u8>>,
}

impl Client {
    pub(crate) fn of(request: &Request) -> Self {
        let options = &request.options;
        let class = options.get(60).unwrap_or_default();
        let user_class = |name| options.get(77).is_some_and(|raw| has_user_class(raw, name));
        let program = if user_class(b"iPXE") || user_class(b"Tinkerbell") {
            Program::Ipxe
        } else if class.starts_with(b"HTTPClient") {
            Program::HttpBoot
        } else if class.starts_with(b"PXEClient") || (class.is_empty() && says_firmware(options)) {
            Program::Pxe
        } else {
            Program::System
        };
        let guid = guid(options);
        Self {
            program,
            arch: architecture(options),
            guid: guid.map(<[u8]>::to_vec),
        }
    }

    /// This client with what it did not say taken from what it said earlier.
    pub(crate) fn or(self, earlier: &Self) -> Self {
        let program = match self.program {
            Program::System => earlier.program,
            // Options 93 and 97 alone do not tell them apart.
            Program::Pxe if earlier.program == Program::HttpBoot => earlier.program,
            program => program,
        };
        Self {
            program,
            arch: self.arch.or(earlier.arch),
            guid: self.guid.or_else(|| earlier.guid.clone()),
        }
    }
}

/// Whether options that only boot firmware sends are there: architecture or machine GUID (RFC 4578).
fn says_firmware(options: &Options) -> bool {
    options.get(93).is_some_and(|value| value.len() >= 2) || guid(options).is_some()
}

fn guid(options: &Options) -> Option<&[u8]> {
    options
        .get(97)
        .filter(|guid| guid.len() == 17 && guid.first() == Some(&0))
}

/// Whether option 77 is `name`, bare (as iPXE sends it) or in the length-prefixed list of RFC 3004.
fn has_user_class(raw: &[u8], name: &[u8]) -> bool {
    if raw == name {
        return true;
    }
    let mut rest = raw;
    while let Some((&length, after)) = rest.split_first() {
        let Some((class, after)) = after.split_at_checked(usize::from(length)) else {
            return false;
        };
        if class == name {
            return true;
        }
        rest = after;
    }
    false
}

fn architecture(options: &Options) -> Option<u16> {
    let values = options
        .get(93)?
        .chunks_exact(2)
        .filter_map(|pair| <[u8; 2]>::try_from(pair).ok());
    values
        .map(u16::from_be_bytes)
        .find(|value| super::binary::program_for(*value).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_class_in_both_forms() {
        for (raw, found) in [
            (&b"iPXE"[..], true),
            (b"\x04iPXE", true),
            (b"\x03abc\x04iPXE", true),
            (b"iPXE2", false),
            (b"\x05iPXE", false),
            (b"", false),
            (b"\0\0\0", false),
        ] {
            assert_eq!(has_user_class(raw, b"iPXE"), found, "{raw:?}");
        }
    }

    #[test]
    fn first_known_architecture() {
        let options = |field: &[u8]| Options::read(field, &[], &[]).unwrap();
        assert_eq!(architecture(&options(&[93, 5, 0, 77, 0, 7, 0])), Some(7));
        assert_eq!(architecture(&options(&[93, 1, 0])), None);
        assert_eq!(architecture(&options(&[])), None);
    }
}
