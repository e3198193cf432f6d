//! What a management controller is, and which functions it has (IPMI 2.0 §20.1).

use crate::Malformed;
use crate::reader::Reader;

const WHAT: &str = "the device id";

/// The answer to Get Device ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)]
pub struct DeviceId {
    /// Number of the hardware's kind, by its maker.
    pub device: u8,
    pub revision: u8,
    /// Version of its firmware: before the point, and after it as two decimal digits.
    pub firmware: (u8, u8),
    /// The firmware is being replaced, or the controller starts.
    pub in_update: bool,
    pub ipmi: (u8, u8),
    pub has_sensors: bool,
    pub has_sdr: bool,
    pub has_sel: bool,
    pub has_fru: bool,
    pub has_chassis: bool,
    /// IANA's number of the maker.
    pub manufacturer: u32,
    pub product: u16,
}

/// Two decimal digits in one byte; what is no digit counts as it stands.
fn bcd(byte: u8) -> u8 {
    (byte >> 4).saturating_mul(10).saturating_add(byte & 0x0f)
}

fn to_bcd(value: u8) -> u8 {
    let value = value.min(99);
    ((value / 10) << 4) | (value % 10)
}

impl DeviceId {
    pub fn parse(data: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(data, WHAT);
        let [
            device,
            revision,
            major,
            minor,
            version,
            functions,
            m0,
            m1,
            m2,
            p0,
            p1,
        ] = reader.array()?;
        Ok(Self {
            device,
            revision: revision & 0x0f,
            firmware: (major & 0x7f, bcd(minor)),
            in_update: major & 0x80 != 0,
            ipmi: (version & 0x0f, version >> 4),
            has_sensors: functions & 0x01 != 0,
            has_sdr: functions & 0x02 != 0,
            has_sel: functions & 0x04 != 0,
            has_fru: functions & 0x08 != 0,
            has_chassis: functions & 0x80 != 0,
            // 20 bits of it count.
            manufacturer: u32::from_le_bytes([m0, m1, m2 & 0x0f, 0]),
            product: u16::from_le_bytes([p0, p1]),
        })
    }

    #[must_use]
    pub fn to_bytes(self) -> [u8; 11] {
        let bit = |on: bool, bit: u8| if on { bit } else { 0 };
        let functions = bit(self.has_sensors, 0x01)
            | bit(self.has_sdr, 0x02)
            | bit(self.has_sel, 0x04)
            | bit(self.has_fru, 0x08)
            | bit(self.has_chassis, 0x80);
        let [m0, m1, m2, _] = self.manufacturer.to_le_bytes();
        let [p0, p1] = self.product.to_le_bytes();
        [
            self.device,
            self.revision & 0x0f,
            self.firmware.0 & 0x7f | bit(self.in_update, 0x80),
            to_bcd(self.firmware.1),
            self.ipmi.1 << 4 | self.ipmi.0 & 0x0f,
            functions,
            m0,
            m1,
            m2 & 0x0f,
            p0,
            p1,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        // An iDRAC as people show it: firmware 2.61, IPMI 2.0, Dell.
        let bytes = [0x20, 1, 2, 0x61, 0x02, 0xdf, 0xa2, 0x02, 0, 0, 1];
        let device = DeviceId::parse(&bytes).unwrap();
        assert_eq!(
            (device.firmware, device.ipmi, device.manufacturer, device.product),
            ((2, 61), (2, 0), 674, 256)
        );
        assert!(
            device.has_sensors && device.has_sdr && device.has_sel && device.has_fru && device.has_chassis
        );
        let again = DeviceId::parse(&device.to_bytes()).unwrap();
        assert_eq!(again, device);
        assert!(DeviceId::parse(&bytes[..10]).is_err());
    }
}
