//! Which machine a BMC belongs to: the system's GUID and the first FRU.
//!
//! IPMI has no command for the host's network interfaces; the address in the LAN parameters is the BMC's own.

use ::ipmi::{Command, FruArea, FruPart, ProductInfo, host_uuid};

use super::Ipmi;
use super::socket::Repeat;
use crate::{Error, Inventory};

/// The FRU of the machine itself.
const FRU: u8 = 0;
/// Bytes that are read at a time; every BMC can do so many.
const CHUNK: u16 = 16;
const HEADER: u16 = 8;

impl Ipmi {
    pub(super) async fn read_inventory(&self) -> Result<Inventory, Error> {
        let guid = self.optional(Command::SystemGuid, &[]).await?;
        let uuid = guid
            .as_deref()
            .and_then(<[u8]>::first_chunk::<16>)
            .and_then(|guid| host_uuid(*guid));
        let product = self.read_part(FruPart::Product).await?.unwrap_or_default();
        Ok(Inventory {
            uuid,
            serial: product.serial,
            manufacturer: product.manufacturer,
            model: product.product,
            firmware_version: None,
            nics: Vec::new(),
        })
    }

    /// What a command says; `None` where the BMC does not have it.
    pub(super) async fn optional(&self, command: Command, data: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        match self.run(command, data, Repeat::Yes).await {
            Ok(data) => Ok(Some(data)),
            Err(error @ Error::Completion { .. }) if !error.retryable() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// An area of the machine's FRU; `None` where there is none.
    pub(super) async fn read_part(&self, part: FruPart) -> Result<Option<ProductInfo>, Error> {
        let Some(area) = self.optional(Command::FruArea, &[FRU]).await? else {
            return Ok(None);
        };
        let area = FruArea::parse(&area).map_err(self.malformed(Command::FruArea))?;
        if area.size < HEADER {
            return Ok(None);
        }
        let wrong = || self.malformed(Command::ReadFru);
        let header = self.read_fru(area, 0, HEADER).await?;
        let Some(start) = part.start(&header).map_err(wrong())? else {
            return Ok(None);
        };
        let length = FruPart::length(&self.read_fru(area, start, HEADER).await?).map_err(wrong())?;
        let product = self.read_fru(area, start, length).await?;
        ProductInfo::parse(part, &product).map(Some).map_err(wrong())
    }

    async fn read_fru(&self, area: FruArea, start: u16, length: u16) -> Result<Vec<u8>, Error> {
        let unit = if area.by_words { 2 } else { 1 };
        let mut read = Vec::new();
        while read.len() < usize::from(length) {
            let done = u16::try_from(read.len()).unwrap_or(u16::MAX);
            let wanted = length.saturating_sub(done).min(CHUNK);
            let [low, high] = (start.saturating_add(done) / unit).to_le_bytes();
            let count = u8::try_from(wanted.div_ceil(unit)).unwrap_or(u8::MAX);
            let data = self
                .run(Command::ReadFru, &[FRU, low, high, count], Repeat::Yes)
                .await?;
            // The number of bytes or words stands before them.
            let got = data.get(1..).unwrap_or_default();
            if got.is_empty() {
                return Err(self.malformed(Command::ReadFru)(::ipmi::Malformed::Short(
                    "the FRU",
                )));
            }
            read.extend(got.iter().take(usize::from(wanted)));
        }
        Ok(read)
    }
}
