//! From raw readings to measured values (IPMI 2.0 §35.5, §35.14, §36.3).

use crate::Malformed;
use crate::reader::Reader;

/// How a raw value is a number (table 43-1, byte 21).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Unsigned,
    /// Ones' complement.
    Ones,
    /// Two's complement.
    Twos,
}

impl Format {
    /// `None`: the sensor has no numbers.
    pub(crate) fn of(number: u8) -> Option<Self> {
        match number & 3 {
            0 => Some(Self::Unsigned),
            1 => Some(Self::Ones),
            2 => Some(Self::Twos),
            _ => None,
        }
    }

    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Unsigned => 0,
            Self::Ones => 1,
            Self::Twos => 2,
        }
    }

    fn value(self, raw: u8) -> f64 {
        let signed = i16::from(i8::from_ne_bytes([raw]));
        f64::from(match self {
            Self::Unsigned => i16::from(raw),
            // A negative number is one less than its pattern says in two's complement.
            Self::Ones if signed < 0 => signed.saturating_add(1),
            Self::Ones | Self::Twos => signed,
        })
    }
}

/// What is done to the linear value at the end (table 43-1, byte 24).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linear {
    None,
    Ln,
    Log10,
    Log2,
    Exp,
    Exp10,
    Exp2,
    Reciprocal,
    Square,
    Cube,
    SquareRoot,
    CubeRoot,
    /// Another formula for each raw value; the factors have to be asked for with it.
    Varies,
}

const LINEAR: [(Linear, u8); 13] = [
    (Linear::None, 0),
    (Linear::Ln, 1),
    (Linear::Log10, 2),
    (Linear::Log2, 3),
    (Linear::Exp, 4),
    (Linear::Exp10, 5),
    (Linear::Exp2, 6),
    (Linear::Reciprocal, 7),
    (Linear::Square, 8),
    (Linear::Cube, 9),
    (Linear::SquareRoot, 10),
    (Linear::CubeRoot, 11),
    (Linear::Varies, 0x70),
];

impl Linear {
    fn of(number: u8) -> Self {
        let found = LINEAR.iter().find(|(_, code)| *code == number & 0x7f);
        // What is not in the table is the maker's own; then only the factors for the very value count.
        found.map_or(Self::Varies, |(linear, _)| *linear)
    }

    fn number(self) -> u8 {
        LINEAR
            .iter()
            .find(|(linear, _)| *linear == self)
            .map_or(0, |(_, code)| *code)
    }

    fn apply(self, x: f64) -> f64 {
        match self {
            Self::None | Self::Varies => x,
            Self::Ln => x.ln(),
            Self::Log10 => x.log10(),
            Self::Log2 => x.log2(),
            Self::Exp => x.exp(),
            Self::Exp10 => 10f64.powf(x),
            Self::Exp2 => x.exp2(),
            Self::Reciprocal => x.recip(),
            Self::Square => x * x,
            Self::Cube => x * x * x,
            Self::SquareRoot => x.sqrt(),
            Self::CubeRoot => x.cbrt(),
        }
    }
}

/// The factors of `y = L[(M x + B 10^Bexp) 10^Rexp]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factors {
    pub format: Format,
    pub linear: Linear,
    /// 10 bits with sign.
    pub m: i16,
    /// 10 bits with sign.
    pub b: i16,
    /// 4 bits with sign.
    pub b_exponent: i8,
    /// 4 bits with sign.
    pub r_exponent: i8,
}

/// A number of 10 bits in two's complement: its low byte, and its high bits as the two upper ones of another byte.
fn ten_bits(low: u8, high: u8) -> i16 {
    let pattern = u16::from(high >> 6) << 8 | u16::from(low);
    // The sign moves to the front and back.
    i16::from_ne_bytes((pattern << 6).to_ne_bytes()) >> 6
}

/// A number of 4 bits in two's complement.
fn four_bits(pattern: u8) -> i8 {
    i8::from_ne_bytes([pattern << 4]) >> 4
}

impl Factors {
    /// From the seven bytes of a full record: linearisation, then as in [`Factors::of_answer`], then the analog flags.
    pub(crate) fn of_record(format: Format, [linear, m, m_high, b, b_high, _, exponents]: [u8; 7]) -> Self {
        Self {
            format,
            linear: Linear::of(linear),
            m: ten_bits(m, m_high),
            b: ten_bits(b, b_high),
            b_exponent: four_bits(exponents & 0x0f),
            r_exponent: four_bits(exponents >> 4),
        }
    }

    /// These factors with those that Get Sensor Reading Factors answered for one raw value (§35.5).
    pub fn of_answer(self, data: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(data, "factors of a sensor");
        let [_, m, m_high, b, b_high, accuracy, exponents] = reader.array()?;
        let varied = Self::of_record(
            self.format,
            [self.linear.number(), m, m_high, b, b_high, accuracy, exponents],
        );
        Ok(varied)
    }

    pub(crate) fn to_record(self) -> [u8; 7] {
        let split = |value: i16| {
            let [low, high] = (value & 0x03ff).to_le_bytes();
            [low, high << 6]
        };
        let ([m, m_high], [b, b_high]) = (split(self.m), split(self.b));
        let nibble = |value: i8| value.to_le_bytes().map(|byte| byte & 0x0f);
        let ([r], [e]) = (nibble(self.r_exponent), nibble(self.b_exponent));
        [self.linear.number(), m, m_high, b, b_high, 0, r << 4 | e]
    }

    /// The measured value; `None` where the formula has none, such as the logarithm of 0.
    #[must_use]
    pub fn measured(self, raw: u8) -> Option<f64> {
        let shift = f64::from(self.b) * 10f64.powi(i32::from(self.b_exponent));
        let linear =
            (f64::from(self.m) * self.format.value(raw) + shift) * 10f64.powi(i32::from(self.r_exponent));
        let value = self.linear.apply(linear);
        value.is_finite().then_some(value)
    }
}

/// The answer to Get Sensor Reading (§35.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SensorReading {
    /// `None` while the sensor has no value, or is not looked at.
    pub raw: Option<u8>,
    /// Which states or limits are met, 15 bits.
    pub states: u16,
}

const SCANNED: u8 = 0x40;
const UNAVAILABLE: u8 = 0x20;

impl SensorReading {
    pub fn parse(data: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(data, "a sensor reading");
        let [raw, flags] = reader.array()?;
        let low = reader.u8().unwrap_or_default();
        let high = reader.u8().unwrap_or_default();
        let counts = flags & SCANNED != 0 && flags & UNAVAILABLE == 0;
        Ok(Self {
            raw: counts.then_some(raw),
            states: if counts {
                u16::from_le_bytes([low, high & 0x7f])
            } else {
                0
            },
        })
    }

    #[must_use]
    pub fn to_bytes(self) -> [u8; 4] {
        let [low, high] = self.states.to_le_bytes();
        match self.raw {
            Some(raw) => [raw, SCANNED, low, high | 0x80],
            None => [0, SCANNED | UNAVAILABLE, 0, 0x80],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(linear: Linear, m: i16, b: i16, b_exponent: i8, r_exponent: i8) -> Factors {
        Factors {
            format: Format::Unsigned,
            linear,
            m,
            b,
            b_exponent,
            r_exponent,
        }
    }

    #[test]
    fn the_formula() {
        for (factors, raw, expected) in [
            (factors(Linear::None, 1, 0, 0, 0), 42, Some(42.0)),
            (factors(Linear::None, 100, 0, 0, 0), 84, Some(8400.0)),
            (factors(Linear::None, 59, 0, 0, -3), 204, Some(12.036)),
            (factors(Linear::None, 5, -3, 1, -1), 20, Some(7.0)),
            (factors(Linear::None, -1, 0, 0, 0), 20, Some(-20.0)),
            (factors(Linear::Square, 2, 0, 0, 0), 3, Some(36.0)),
            (factors(Linear::Cube, 1, 0, 0, 0), 3, Some(27.0)),
            (factors(Linear::SquareRoot, 1, 0, 0, 0), 144, Some(12.0)),
            (factors(Linear::CubeRoot, 1, 0, 0, 0), 27, Some(3.0)),
            (factors(Linear::Reciprocal, 1, 0, 0, 0), 4, Some(0.25)),
            (factors(Linear::Exp2, 1, 0, 0, 0), 10, Some(1024.0)),
            (factors(Linear::Exp10, 1, 0, 0, 0), 3, Some(1000.0)),
            (factors(Linear::Log10, 1, 0, 0, 2), 10, Some(3.0)),
            (factors(Linear::Log2, 1, 0, 0, 0), 8, Some(3.0)),
            (factors(Linear::Ln, 1, 0, 0, 0), 1, Some(0.0)),
            (factors(Linear::Exp, 1, 0, 0, 0), 0, Some(1.0)),
            (factors(Linear::Ln, 1, 0, 0, 0), 0, None),
            (factors(Linear::Reciprocal, 1, 0, 0, 0), 0, None),
        ] {
            let got = factors.measured(raw);
            let near = got
                .zip(expected)
                .map_or(got == expected, |(got, expected)| (got - expected).abs() < 1e-9);
            assert!(near, "{factors:?} of {raw}: {got:?}, not {expected:?}");
        }
        for (format, raw, expected) in [
            (Format::Unsigned, 0xfe, 254.0),
            (Format::Twos, 0xfe, -2.0),
            (Format::Ones, 0xfe, -1.0),
            (Format::Ones, 0x80, -127.0),
            (Format::Twos, 0x80, -128.0),
            (Format::Twos, 0x7f, 127.0),
        ] {
            let factors = Factors {
                format,
                ..factors(Linear::None, 1, 0, 0, 0)
            };
            assert_eq!(factors.measured(raw), Some(expected), "{format:?} {raw:#x}");
        }
    }

    #[test]
    fn factors_there_and_back() {
        for (linear, code) in LINEAR {
            for (m, b) in [(0, 0), (511, -512), (-1, 1), (-512, 511)] {
                for (b_exponent, r_exponent) in [(0, 0), (7, -8), (-1, 3)] {
                    let factors = factors(linear, m, b, b_exponent, r_exponent);
                    let bytes = factors.to_record();
                    assert_eq!(bytes[0], code);
                    assert_eq!(Factors::of_record(Format::Unsigned, bytes), factors);
                }
            }
        }
        let varies = factors(Linear::Varies, 1, 0, 0, 0);
        let asked = varies.of_answer(&[0, 10, 0, 0, 0, 0, 0xf0]).unwrap();
        assert_eq!(
            (asked.m, asked.r_exponent, asked.linear),
            (10, -1, Linear::Varies)
        );
        assert!(varies.of_answer(&[0; 6]).is_err());
    }

    #[test]
    fn readings() {
        for reading in [
            SensorReading {
                raw: Some(7),
                states: 0x0108,
            },
            SensorReading { raw: None, states: 0 },
        ] {
            assert_eq!(SensorReading::parse(&reading.to_bytes()), Ok(reading));
        }
        let short = SensorReading::parse(&[9, SCANNED]).unwrap();
        assert_eq!((short.raw, short.states), (Some(9), 0));
        assert_eq!(
            SensorReading::parse(&[9, 0, 1, 0]).unwrap().raw,
            None,
            "not looked at"
        );
        assert!(SensorReading::parse(&[9]).is_err());
    }
}
