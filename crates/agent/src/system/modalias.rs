//! Shell patterns as `depmod` writes them into `modules.alias`: `*`, `?` and `[...]`.

/// Whether `text` matches `pattern` as a whole.
#[must_use]
pub fn glob(pattern: &str, text: &str) -> bool {
    matches(pattern.as_bytes(), text.as_bytes())
}

fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // Where to go back to: the pattern behind the last star, and the text one byte further.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        let step = match (pattern, text) {
            ([], []) => return true,
            ([b'*', rest @ ..], _) => {
                retry = text.split_first().map(|(_, more)| (rest, more));
                Some((rest, text))
            }
            ([b'?', rest @ ..], [_, more @ ..]) => Some((rest, more)),
            ([b'[', rest @ ..], [letter, more @ ..]) => class(rest, *letter).map(|rest| (rest, more)),
            ([same, rest @ ..], [letter, more @ ..]) if same == letter => Some((rest, more)),
            _ => None,
        };
        (pattern, text) = match (step, retry) {
            (Some(next), _) => next,
            (None, Some((behind_star, from))) => {
                retry = from.split_first().map(|(_, more)| (behind_star, more));
                (behind_star, from)
            }
            (None, None) => return false,
        };
    }
}

/// The pattern behind the bracket if the letter is in the class.
fn class(pattern: &[u8], letter: u8) -> Option<&[u8]> {
    let end = pattern.iter().position(|octet| *octet == b']')?;
    let (set, rest) = pattern.split_at(end);
    let mut set = set;
    let mut found = false;
    while let [first, more @ ..] = set {
        set = match more {
            [b'-', last, behind @ ..] => {
                found |= (*first..=*last).contains(&letter);
                behind
            }
            _ => {
                found |= *first == letter;
                more
            }
        };
    }
    found.then_some(rest.get(1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_real_drivers() {
        let table = [
            (
                "pci:v00001AF4d*sv*sd*bc*sc*i*",
                "pci:v00001AF4d00001041sv00001AF4sd00001100bc02sc00i00",
                true,
            ),
            (
                "pci:v00001AF4d*sv*sd*bc*sc*i*",
                "pci:v00008086d00001041sv00001AF4sd00001100bc02sc00i00",
                false,
            ),
            ("virtio:d00000001v*", "virtio:d00000001v00001AF4", true),
            (
                "pci:v*d*sv*sd*bc01sc06i01*",
                "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01",
                true,
            ),
            ("scsi:t-0x00*", "scsi:t-0x00", true),
            ("usb:v0[1-3]F4d?", "usb:v02F4d9", true),
            ("usb:v0[1-3A]F4d?", "usb:v04F4d9", false),
            ("usb:v0[1-3A]F4d?", "usb:vAF4", false),
            ("*", "", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("", "a", false),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
