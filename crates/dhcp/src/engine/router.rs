//! Router advertisement in answer to a router solicitation (RFC 4861 sections 4.1, 4.2 and 6.1.1).
//!
//! iPXE waits 16 s for a router before it boots. An advertisement with router lifetime 0, no prefix and neither
//! "managed" nor "other" says that there is none: no host configures anything by it.

/// What to advertise from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advertisement {
    /// Hardware address of the interface.
    pub link_address: [u8; 6],
}

const SOLICITATION: u8 = 133;
const ADVERTISEMENT: u8 = 134;

/// Whether an ICMPv6 message is a valid router solicitation. The kernel has checked the checksum.
#[must_use]
pub fn is_solicitation(message: &[u8], hop_limit: Option<i32>) -> bool {
    if hop_limit.is_some_and(|limit| limit != 255) {
        return false;
    }
    let [SOLICITATION, 0, _, _, _, _, _, _, options @ ..] = message else {
        return false;
    };
    let mut rest = options;
    while let [_, length, ..] = rest {
        let octets = usize::from(*length).saturating_mul(8);
        match rest.split_at_checked(octets) {
            Some((option, after)) if !option.is_empty() => rest = after,
            // Zero length, or over the end: the message must be dropped.
            _ => return false,
        }
    }
    rest.is_empty()
}

/// The advertisement; the kernel fills in the checksum.
#[must_use]
pub fn advertisement(of: Advertisement) -> [u8; 24] {
    let mut message = [0; 24];
    let mut octets = [ADVERTISEMENT, 0, 0, 0]
        .into_iter()
        // Hop limit 64, no flags, router lifetime 0, reachable time and retransmission timer unspecified.
        .chain([64, 0, 0, 0])
        .chain([0; 8])
        // Source link-layer address.
        .chain([1, 1])
        .chain(of.link_address);
    message.fill_with(|| octets.next().unwrap_or(0));
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solicitations() {
        let plain = [133, 0, 0, 0, 0, 0, 0, 0];
        let with_address = [133, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 1];
        assert!(is_solicitation(&plain, Some(255)));
        assert!(is_solicitation(&with_address, None));
        assert!(!is_solicitation(&plain, Some(64)), "forwarded");
        assert!(!is_solicitation(&plain[..7], None));
        assert!(!is_solicitation(&with_address[..12], None));
        assert!(
            !is_solicitation(&[133, 0, 0, 0, 0, 0, 0, 0, 1, 0], None),
            "option of no length"
        );
        assert!(!is_solicitation(&[134, 0, 0, 0, 0, 0, 0, 0], None));
    }

    #[test]
    fn golden_advertisement() {
        let message = advertisement(Advertisement {
            link_address: [2, 0, 0, 0, 0, 1],
        });
        assert_eq!(
            message,
            [
                134, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 1
            ]
        );
    }
}
