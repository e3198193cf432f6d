//! Names under `/dev/disk/by-id`, made by the rules of udev's `60-persistent-storage.rules` and of the programs that it
//! calls (`ata_id`, `scsi_id`, `usb_id`), and the further SCSI names that the rules of sg3_utils add.

use super::attachment::Attachment;
use super::vpd::Vpd;

/// What the names are made of; an empty text is not known.
#[derive(Debug)]
pub(super) struct DiskIds<'a> {
    pub(super) name: &'a str,
    pub(super) vendor: String,
    pub(super) model: String,
    pub(super) serial: String,
    pub(super) wwid: String,
    /// Number of an NVMe namespace.
    pub(super) namespace: String,
    /// Product name of an MMC card.
    pub(super) card: String,
    pub(super) vpd: &'a Vpd,
    pub(super) attachment: &'a Attachment,
}

impl DiskIds<'_> {
    /// All names, the most telling first.
    pub(super) fn all(&self) -> Vec<String> {
        let mut ids = match self.name {
            name if name.starts_with("nvme") => self.nvme(),
            name if name.starts_with("vd") => self.virtio(),
            name if name.starts_with("mmcblk") => self.mmc(),
            _ => self.scsi(),
        };
        let mut seen = std::collections::BTreeSet::new();
        ids.retain(|id| seen.insert(id.clone()));
        ids
    }

    fn nvme(&self) -> Vec<String> {
        let mut ids = Vec::new();
        if !self.model.is_empty() && !self.serial.is_empty() {
            // Here blanks are replaced one by one.
            let serial = replace_chars(&format!("{}_{}", self.model, self.serial));
            ids.push(format!("nvme-{serial}"));
            if !self.namespace.is_empty() {
                ids.push(format!("nvme-{serial}_{}", self.namespace));
            }
        }
        if !self.wwid.is_empty() {
            ids.push(format!("nvme-{}", plain(&self.wwid)));
        }
        ids
    }

    fn virtio(&self) -> Vec<String> {
        let serial: String = self.serial.chars().take(20).collect();
        Some(format!("virtio-{}", plain(&serial)))
            .filter(|_| !serial.is_empty())
            .into_iter()
            .collect()
    }

    fn mmc(&self) -> Vec<String> {
        let known = !self.card.is_empty() && !self.serial.is_empty();
        known
            .then(|| format!("mmc-{}_{}", plain(&self.card), plain(&self.serial)))
            .into_iter()
            .collect()
    }

    fn scsi(&self) -> Vec<String> {
        let mut ids = Vec::new();
        let naa = self.vpd.naa();
        let registered = self.wwid.strip_prefix("naa.").map(str::to_owned);
        if self.attachment.transport == Some("usb") {
            ids.extend(self.usb());
        } else if self.vendor == "ATA" {
            let (model, serial) = self
                .vpd
                .ata()
                .unwrap_or_else(|| (self.model.clone(), self.serial.clone()));
            if !model.is_empty() && !serial.is_empty() {
                ids.push(format!("ata-{}_{}", plain(&model), plain(&serial)));
            }
        } else {
            let of_page_83 = self.vpd.scsi_id(&self.vendor, &self.model);
            ids.extend(of_page_83.map(|id| format!("scsi-{}", plain(&id))));
            if !self.vendor.is_empty() && !self.serial.is_empty() {
                let text = format!("S{:8.8}{:16.16}{}", self.vendor, self.model, self.serial);
                ids.push(format!("scsi-{}", plain(&text)));
            }
        }
        let all = naa.iter().chain(&registered);
        ids.extend(all.clone().map(|naa| format!("scsi-3{naa}")));
        ids.extend(all.map(|naa| format!("wwn-0x{naa}")));
        ids
    }

    /// `usb_id` for mass storage: vendor and model of the SCSI device, serial number of the USB device, target and unit.
    fn usb(&self) -> Option<String> {
        if self.vendor.is_empty() && self.model.is_empty() {
            return None;
        }
        let printable = |serial: &&String| {
            serial
                .bytes()
                .all(|byte| (0x20..0x80).contains(&byte) && byte != b',')
        };
        let serial = self.attachment.usb_serial.as_ref().filter(printable);
        let serial = serial.map_or(String::new(), |serial| format!("_{}", plain(serial)));
        let place = self.attachment.hctl.as_deref().and_then(|hctl| {
            let mut numbers = hctl.split(':').skip(2);
            Some(format!("-{}:{}", numbers.next()?, numbers.next()?))
        });
        Some(format!(
            "usb-{}_{}{serial}{}",
            plain(&self.vendor),
            plain(&self.model),
            place.unwrap_or_default()
        ))
    }
}

/// Blanks become one underscore, those at the ends go; then as [`replace_chars`].
fn plain(text: &str) -> String {
    replace_chars(&text.split_whitespace().collect::<Vec<_>>().join("_"))
}

/// What udev does not allow in a name becomes an underscore.
fn replace_chars(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            _ if c.is_ascii_alphanumeric() || "#+-.:=@_".contains(c) || !c.is_ascii() => c,
            _ => '_',
        })
        .collect()
}
