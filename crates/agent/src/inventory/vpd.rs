//! SCSI vital product data (SPC-4, chapter 7.8) as far as udev's `scsi_id` and `ata_id` read it.

use std::fs;
use std::path::Path;

/// Pages of one device, as sysfs gives them.
#[derive(Debug, Default)]
pub(super) struct Vpd {
    /// Page 80h: unit serial number.
    serial: Vec<u8>,
    /// Page 83h: device identification.
    identification: Vec<u8>,
    /// Page 89h: ATA information.
    ata: Vec<u8>,
}

/// An identification descriptor of the logical unit.
#[derive(Debug)]
struct Descriptor<'a> {
    ascii: bool,
    kind: u8,
    value: &'a [u8],
}

/// Bytes before the data of pages 80h and 83h.
const HEADER: usize = 4;
/// Where IDENTIFY DEVICE data begins in page 89h.
const IDENTIFY: usize = 60;
/// Descriptor types.
const VENDOR_SPECIFIC: u8 = 0;
const T10_VENDOR: u8 = 1;
const EUI_64: u8 = 2;
const NAA: u8 = 3;

impl Vpd {
    pub(super) fn read(device: &Path) -> Self {
        let page = |name: &str| fs::read(device.join(name)).unwrap_or_default();
        Self {
            serial: page("vpd_pg80"),
            identification: page("vpd_pg83"),
            ata: page("vpd_pg89"),
        }
    }

    /// Unit serial number.
    pub(super) fn serial(&self) -> Option<String> {
        ascii(self.serial.get(HEADER..)?)
    }

    /// Model and serial number as ATA gives them: longer than what SCSI's INQUIRY has room for.
    pub(super) fn ata(&self) -> Option<(String, String)> {
        let identify = self.ata.get(IDENTIFY..IDENTIFY + 512)?;
        let words = |from: usize, to: usize| {
            let bytes = identify.get(from * 2..to * 2)?;
            let swapped: Vec<u8> = bytes
                .as_chunks::<2>()
                .0
                .iter()
                .flat_map(|[a, b]| [*b, *a])
                .collect();
            ascii(&swapped)
        };
        Some((words(27, 47)?, words(10, 20)?))
    }

    /// All NAA identifiers in hexadecimal, in the order in which `scsi_id` prefers them.
    pub(super) fn naa(&self) -> Vec<String> {
        let mut found: Vec<String> = self
            .descriptors()
            .filter(|descriptor| descriptor.kind == NAA)
            .map(|descriptor| descriptor.text())
            .collect();
        // IEEE registered extended, then IEEE registered.
        found.sort_by_key(|naa| match naa.as_bytes().first() {
            Some(b'6') => 0,
            Some(b'5') => 1,
            _ => 2,
        });
        found
    }

    /// What `scsi_id` makes of page 83h: the type's digit and the best identifier; vendor and model are those of the
    /// INQUIRY, padded.
    pub(super) fn scsi_id(&self, vendor: &str, model: &str) -> Option<String> {
        if let Some(naa) = self.naa().into_iter().next() {
            return Some(format!("3{naa}"));
        }
        [EUI_64, T10_VENDOR, VENDOR_SPECIFIC]
            .into_iter()
            .find_map(|kind| {
                // Binary before ASCII.
                let mut of_kind: Vec<_> = self.descriptors().filter(|found| found.kind == kind).collect();
                of_kind.sort_by_key(|found| found.ascii);
                let text = of_kind.first()?.text();
                Some(match kind {
                    VENDOR_SPECIFIC => format!("0{vendor:8.8}{model:16.16}{text}"),
                    kind => format!("{kind}{text}"),
                })
            })
    }

    fn descriptors(&self) -> impl Iterator<Item = Descriptor<'_>> {
        let mut rest = self.identification.get(HEADER..).unwrap_or_default();
        std::iter::from_fn(move || {
            let [first, second, _, length, ..] = *rest else {
                return None;
            };
            let value = rest.get(4..4 + usize::from(length))?;
            rest = rest.get(4 + usize::from(length)..).unwrap_or_default();
            Some((first, second, value))
        })
        // Only what is said of the logical unit, not of its port or target.
        .filter(|(_, second, _)| second & 0x30 == 0)
        .map(|(first, second, value)| Descriptor {
            ascii: first & 0x0f == 2,
            kind: second & 0x0f,
            value,
        })
    }
}

impl Descriptor<'_> {
    fn text(&self) -> String {
        use std::fmt::Write as _;
        if self.ascii {
            return String::from_utf8_lossy(self.value).into_owned();
        }
        self.value.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

fn ascii(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_83(descriptors: &[(u8, u8, &[u8])]) -> Vpd {
        let mut page = vec![0, 0x83, 0, 0];
        for (code_set, kind, value) in descriptors {
            page.extend([*code_set, *kind, 0, u8::try_from(value.len()).unwrap()]);
            page.extend(*value);
        }
        Vpd {
            identification: page,
            ..Vpd::default()
        }
    }

    #[test]
    fn the_best_identifier_wins_as_in_scsi_id() {
        let registered: &[u8] = &[0x50, 0x05, 0x08, 0xb1, 0x00, 0x1c, 0x00, 0x01];
        let extended: &[u8] = &[
            0x60, 0x05, 0x08, 0xb1, 0x00, 0x1c, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 9,
        ];
        let port: (u8, u8, &[u8]) = (1, 0x13, registered);
        for (descriptors, expected) in [
            (
                &[(1, 3, registered), (1, 3, extended)][..],
                Some("3600508b1001c00010000000000000009"),
            ),
            (
                &[(1, 2, &[1, 2, 3][..]), (1, 3, registered)],
                Some("3500508b1001c0001"),
            ),
            (
                &[(2, 0, b"drive-0"), port],
                Some("0QEMU    QEMU HARDDISK   drive-0"),
            ),
            (&[(2, 1, b"LIO     x")], Some("1LIO     x")),
            (&[port], None),
            (&[(1, 3, &[]), (9, 9, b"")], Some("3")),
        ] {
            let found = page_83(descriptors).scsi_id("QEMU", "QEMU HARDDISK");
            assert_eq!(found.as_deref(), expected);
        }
        let mut cut = page_83(&[(1, 3, registered)]);
        cut.identification.truncate(9);
        assert_eq!(cut.scsi_id("", ""), None);
    }

    #[test]
    fn ata_names_are_swapped_in_pairs() {
        let mut page = vec![0; IDENTIFY + 512];
        let mut put = |word: usize, text: &str| {
            for (at, pair) in text.as_bytes().chunks(2).enumerate() {
                page[IDENTIFY + (word + at) * 2] = pair[1];
                page[IDENTIFY + (word + at) * 2 + 1] = pair[0];
            }
        };
        put(27, "Samsung SSD 860 EVO 1TB                 ");
        put(10, "      S3Z8NB0K123456");
        let vpd = Vpd {
            ata: page,
            ..Vpd::default()
        };
        let expected = ("Samsung SSD 860 EVO 1TB".to_owned(), "S3Z8NB0K123456".to_owned());
        assert_eq!(vpd.ata(), Some(expected));
        assert_eq!(Vpd::default().ata(), None);
    }
}
