//! The chassis, board and product areas of a FRU (IPMI Platform Management FRU Information Storage Definition 1.3, §8, §10 to §13).

use crate::Malformed;
use crate::reader::Reader;
use crate::text;

const AREA: &str = "an area of the FRU";
const END: u8 = 0xc1;

/// What Get FRU Inventory Area Info says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FruArea {
    pub size: u16,
    /// Offsets and counts are in words of two bytes.
    pub by_words: bool,
}

impl FruArea {
    pub fn parse(data: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(data, "the FRU's size");
        Ok(Self {
            size: reader.u16()?,
            by_words: reader.u8()? & 1 != 0,
        })
    }
}

/// What an area of a FRU is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FruPart {
    Chassis,
    Board,
    Product,
}

impl FruPart {
    pub const ALL: [Self; 3] = [Self::Chassis, Self::Board, Self::Product];

    /// Where its area begins; `None` if the FRU has none. `header` are the FRU's first 8 bytes.
    pub fn start(self, header: &[u8]) -> Result<Option<u16>, Malformed> {
        const WHAT: &str = "the FRU's header";
        let bytes: [u8; 8] = Reader::new(header, WHAT).array()?;
        check_sum(&bytes, WHAT)?;
        let [version, _, chassis, board, product, ..] = bytes;
        if version & 0x0f != 1 {
            return Err(Malformed::Value(WHAT));
        }
        let eights = match self {
            Self::Chassis => chassis,
            Self::Board => board,
            Self::Product => product,
        };
        Ok((eights != 0).then(|| u16::from(eights).saturating_mul(8)))
    }

    /// How long its area is, by the first two bytes of it.
    pub fn length(start: &[u8]) -> Result<u16, Malformed> {
        let [_, eights] = Reader::new(start, AREA).array()?;
        Ok(u16::from(eights).saturating_mul(8))
    }

    /// Bytes between the language and the first text.
    const fn skipped(self) -> usize {
        match self {
            Self::Chassis | Self::Product => 0,
            // The date of manufacture.
            Self::Board => 3,
        }
    }
}

/// What an area says. A field that is empty, not given or not of this kind of area is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProductInfo {
    pub manufacturer: Option<String>,
    pub product: Option<String>,
    pub part_number: Option<String>,
    pub serial: Option<String>,
}

fn check_sum(bytes: &[u8], what: &'static str) -> Result<(), Malformed> {
    let sum = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    if sum == 0 {
        Ok(())
    } else {
        Err(Malformed::Checksum(what))
    }
}

impl ProductInfo {
    /// Reads a whole area.
    pub fn parse(part: FruPart, area: &[u8]) -> Result<Self, Malformed> {
        check_sum(area, AREA)?;
        let mut reader = Reader::new(area, AREA);
        let [version, _, language] = reader.array()?;
        if version & 0x0f != 1 {
            return Err(Malformed::Value(AREA));
        }
        // Two bytes a character in other languages than English; a chassis has its type there.
        let wide = part != FruPart::Chassis && !matches!(language, 0 | 25);
        reader.skip(part.skipped())?;
        let mut fields: [Option<String>; 5] = Default::default();
        for field in &mut fields {
            let kind = reader.u8()?;
            if kind == END {
                break;
            }
            let bytes = reader.take(usize::from(kind & 0x3f))?;
            *field = text::decode(kind >> 6, bytes).filter(|_| !wide || kind >> 6 != text::LATIN);
        }
        let [first, second, third, fourth, fifth] = fields;
        Ok(match part {
            FruPart::Chassis => Self {
                part_number: first,
                serial: second,
                ..Self::default()
            },
            FruPart::Board => Self {
                manufacturer: first,
                product: second,
                serial: third,
                part_number: fourth,
            },
            FruPart::Product => Self {
                manufacturer: first,
                product: second,
                part_number: third,
                serial: fifth,
            },
        })
    }

    /// A FRU that says this: header and product area. Fields longer than 62 bytes are cut.
    #[must_use]
    pub fn to_fru(&self) -> Vec<u8> {
        let mut area = vec![1, 0, 25];
        for text in [
            &self.manufacturer,
            &self.product,
            &self.part_number,
            &None,
            &self.serial,
        ] {
            let text = text.as_deref().unwrap_or_default();
            let bytes: Vec<u8> = text.bytes().filter(u8::is_ascii).take(62).collect();
            // One byte of text would look like the end.
            let bytes = if bytes.len() == 1 {
                [bytes, vec![b' ']].concat()
            } else {
                bytes
            };
            area.push(0xc0 | u8::try_from(bytes.len()).unwrap_or_default());
            area.extend(bytes);
        }
        area.push(END);
        let length = area.len().saturating_add(1).next_multiple_of(8);
        area.resize(length.saturating_sub(1), 0);
        if let Some(eights) = area.get_mut(1) {
            *eights = u8::try_from(length / 8).unwrap_or_default();
        }
        let fru = [summed(vec![1, 0, 0, 0, 1, 0, 0]), summed(area)];
        fru.concat()
    }
}

/// The bytes with what makes their sum 0.
fn summed(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    bytes.push(sum.wrapping_neg());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for serial in [Some("GL9Y642MEHNB"), Some("7"), None] {
            let info = ProductInfo {
                manufacturer: Some("Example Corp".to_owned()),
                product: None,
                part_number: Some("R1-44".to_owned()),
                serial: serial.map(str::to_owned),
            };
            let fru = info.to_fru();
            let at = usize::from(FruPart::Product.start(&fru[..8]).unwrap().unwrap());
            let length = usize::from(FruPart::length(&fru[at..]).unwrap());
            assert_eq!(at + length, fru.len());
            assert_eq!(ProductInfo::parse(FruPart::Product, &fru[at..]), Ok(info));
            assert_eq!(FruPart::Board.start(&fru[..8]), Ok(None));
        }
    }

    #[test]
    fn areas() {
        let area = [1, 2, 0, 0x43, b'a', b'b', b'c', 0x83, 0x29, 0xdc, 0xa6, 0xc1];
        let product = ProductInfo::parse(FruPart::Product, &summed(area.to_vec())).unwrap();
        assert_eq!(product.product.as_deref(), Some("IPMI"));
        let board = [
            1, 3, 25, 1, 2, 3, 0xc2, b'm', b'k', 0xc0, 0xc3, b's', b'1', b'2', 0xc2, b'p', b'n', 0xc1,
        ];
        let board = ProductInfo::parse(FruPart::Board, &summed(board.to_vec())).unwrap();
        let expected = ProductInfo {
            manufacturer: Some("mk".to_owned()),
            product: None,
            part_number: Some("pn".to_owned()),
            serial: Some("s12".to_owned()),
        };
        assert_eq!(board, expected);
        let chassis = [1, 2, 0x17, 0xc2, b'c', b'p', 0xc3, b'c', b's', b'1', 0xc1];
        let chassis = ProductInfo::parse(FruPart::Chassis, &summed(chassis.to_vec())).unwrap();
        assert_eq!(
            (chassis.part_number.as_deref(), chassis.serial.as_deref()),
            (Some("cp"), Some("cs1"))
        );
        assert_eq!(
            FruPart::Product.start(&summed(vec![1, 0, 0, 0, 0, 0, 0])),
            Ok(None)
        );
        assert!(FruPart::Product.start(&[1, 0, 0, 0, 1, 0, 0, 0]).is_err());
    }
}
