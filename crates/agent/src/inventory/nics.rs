//! Network cards: what has a device behind it, so neither loopback nor bridges.

use std::fs;
use std::path::Path;

use resources::Mac;

use super::sysfs::text;

/// A network card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// Name in the installer.
    pub name: String,
    /// Kernel's number.
    pub index: u32,
    /// Address.
    pub mac: Mac,
    /// Whether there is a link; unknown while the card is down.
    pub link: Option<bool>,
    /// Driver.
    pub driver: Option<String>,
}

/// All cards, by name.
#[must_use]
pub fn nics(sys: &Path) -> Vec<Nic> {
    let Ok(entries) = fs::read_dir(sys.join("class/net")) else {
        return Vec::new();
    };
    let mut nics: Vec<Nic> = entries
        .flatten()
        .filter_map(|entry| {
            let path = entry.path();
            path.join("device").exists().then_some(())?;
            let driver = fs::read_link(path.join("device/driver")).ok();
            Some(Nic {
                name: entry.file_name().to_string_lossy().into_owned(),
                index: text(&path.join("ifindex"))?.parse().ok()?,
                mac: text(&path.join("address"))?.parse().ok()?,
                link: text(&path.join("carrier")).map(|carrier| carrier == "1"),
                driver: driver.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned())),
            })
        })
        .collect();
    nics.sort_by(|a, b| a.name.cmp(&b.name));
    nics
}

impl Nic {
    pub(crate) fn into_message(self) -> agent_protocol::v1::Nic {
        agent_protocol::v1::Nic {
            name: self.name,
            mac: self.mac.to_string(),
            link: self.link,
            driver: self.driver.unwrap_or_default(),
        }
    }
}
