//! Texts with a type in the two upper bits of the byte before them (FRU storage definition §13, IPMI 2.0 §43.15).

/// The type codes.
pub(crate) const BCD_PLUS: u8 = 1;
pub(crate) const SIX_BIT: u8 = 2;
pub(crate) const LATIN: u8 = 3;

/// A text of this type; `None` where it is binary, empty, or not printable.
pub(crate) fn decode(kind: u8, bytes: &[u8]) -> Option<String> {
    let text = match kind {
        BCD_PLUS => bcd_plus(bytes),
        SIX_BIT => six_bit(bytes),
        LATIN => bytes.iter().map(|byte| char::from(*byte)).collect(),
        _ => return None,
    };
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    let printable = !text.is_empty() && !text.chars().any(char::is_control);
    printable.then(|| text.to_owned())
}

fn bcd_plus(bytes: &[u8]) -> String {
    let digit = |nibble: u8| match nibble {
        0..=9 => char::from(nibble | b'0'),
        0x0a => ' ',
        0x0b => '-',
        _ => '.',
    };
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0f)])
        .collect()
}

/// Four characters from space to underscore in three bytes, the low bits first.
fn six_bit(bytes: &[u8]) -> String {
    let character = |bits: u8| char::from((bits & 0x3f).saturating_add(0x20));
    bytes
        .chunks(3)
        .flat_map(|chunk| {
            let at = |place: usize| chunk.get(place).copied().unwrap_or_default();
            let (a, b, c) = (at(0), at(1), at(2));
            let four = [a, a >> 6 | b << 2, b >> 4 | c << 4, c >> 2];
            let whole = chunk.len().saturating_mul(8) / 6;
            four.into_iter().take(whole).map(character)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_texts() {
        // The specification's own example of packed ASCII.
        assert_eq!(six_bit(&[0x29, 0xdc, 0xa6]), "IPMI");
        assert_eq!(bcd_plus(&[0x12, 0xb3, 0xca]), "12-3. ");
        for (kind, bytes, expected) in [
            (LATIN, b" PSU \0".as_slice(), Some("PSU")),
            (LATIN, b"\x01", None),
            (LATIN, b"", None),
            (SIX_BIT, &[0x29, 0xdc, 0xa6], Some("IPMI")),
            (BCD_PLUS, &[0x12], Some("12")),
            (0, b"abc", None),
        ] {
            assert_eq!(decode(kind, bytes).as_deref(), expected, "{kind} {bytes:?}");
        }
    }
}
