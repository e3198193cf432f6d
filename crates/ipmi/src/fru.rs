//! The product area of a FRU (IPMI Platform Management FRU Information Storage Definition 1.3, §8, §11 to §13).

use crate::Malformed;
use crate::reader::Reader;

const AREA: &str = "the FRU's product area";
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

/// Which product the machine is. A field that is empty or not given is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProductInfo {
    pub manufacturer: Option<String>,
    pub product: Option<String>,
    pub serial: Option<String>,
}

/// Where the product area begins; `None` if the FRU has none. `header` are the FRU's first 8 bytes.
pub fn product_area(header: &[u8]) -> Result<Option<u16>, Malformed> {
    const WHAT: &str = "the FRU's header";
    let bytes: [u8; 8] = Reader::new(header, WHAT).array()?;
    check_sum(&bytes, WHAT)?;
    let [version, _, _, _, product, ..] = bytes;
    if version & 0x0f != 1 {
        return Err(Malformed::Value(WHAT));
    }
    Ok((product != 0).then(|| u16::from(product).saturating_mul(8)))
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
    /// How long a product area is, by its first two bytes.
    pub fn length(start: &[u8]) -> Result<u16, Malformed> {
        let [_, eights] = Reader::new(start, AREA).array()?;
        Ok(u16::from(eights).saturating_mul(8))
    }

    /// Reads a whole product area.
    pub fn parse(area: &[u8]) -> Result<Self, Malformed> {
        check_sum(area, AREA)?;
        let mut reader = Reader::new(area, AREA);
        let [version, _, language] = reader.array()?;
        if version & 0x0f != 1 {
            return Err(Malformed::Value(AREA));
        }
        // Two bytes a character in other languages than English.
        let wide = !matches!(language, 0 | 25);
        let mut fields: [Option<String>; 5] = Default::default();
        for field in &mut fields {
            let kind = reader.u8()?;
            if kind == END {
                break;
            }
            let bytes = reader.take(usize::from(kind & 0x3f))?;
            *field = match kind >> 6 {
                1 => Some(bcd_plus(bytes)),
                2 => Some(six_bit(bytes)),
                3 if !wide => Some(bytes.iter().map(|byte| char::from(*byte)).collect()),
                _ => None,
            };
        }
        let [manufacturer, product, _part, _version, serial] = fields.map(clean);
        Ok(Self {
            manufacturer,
            product,
            serial,
        })
    }

    /// A FRU that says this: header and product area. Fields longer than 62 bytes are cut.
    #[must_use]
    pub fn to_fru(&self) -> Vec<u8> {
        let mut area = vec![1, 0, 25];
        for text in [&self.manufacturer, &self.product, &None, &None, &self.serial] {
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

fn clean(text: Option<String>) -> Option<String> {
    let text = text?;
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
    fn there_and_back() {
        for serial in [Some("GL9Y642MEHNB"), Some("7"), None] {
            let info = ProductInfo {
                manufacturer: Some("Example Corp".to_owned()),
                product: None,
                serial: serial.map(str::to_owned),
            };
            let fru = info.to_fru();
            let at = usize::from(product_area(&fru[..8]).unwrap().unwrap());
            let length = usize::from(ProductInfo::length(&fru[at..]).unwrap());
            assert_eq!(at + length, fru.len());
            assert_eq!(ProductInfo::parse(&fru[at..]), Ok(info));
        }
    }

    #[test]
    fn packed_texts() {
        // The specification's own example of packed ASCII.
        assert_eq!(six_bit(&[0x29, 0xdc, 0xa6]), "IPMI");
        assert_eq!(bcd_plus(&[0x12, 0xb3, 0xca]), "12-3. ");
        let area = [1, 2, 0, 0x43, b'a', b'b', b'c', 0x83, 0x29, 0xdc, 0xa6, 0xc1];
        assert!(
            ProductInfo::parse(&summed(area.to_vec()))
                .unwrap()
                .product
                .is_some_and(|name| name == "IPMI")
        );
        assert_eq!(product_area(&summed(vec![1, 0, 0, 0, 0, 0, 0])), Ok(None));
        assert!(product_area(&[1, 0, 0, 0, 1, 0, 0, 0]).is_err());
    }
}
