//! Certificates as PEM (RFC 7468), by their form alone.

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

pub(super) const NEXT_STEP: &str =
    "paste the authority's file, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----";

/// One or more certificates, and nothing but space between them.
pub(super) fn is_pem(text: &str) -> bool {
    let mut rest = text.trim();
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let Some((body, after)) = rest.strip_prefix(BEGIN).and_then(|rest| rest.split_once(END)) else {
            return false;
        };
        let base64 = |c: char| c.is_ascii_alphanumeric() || "+/=\r\n".contains(c);
        if body.trim().is_empty() || !body.chars().all(base64) {
            return false;
        }
        rest = after.trim_start();
    }
    true
}
