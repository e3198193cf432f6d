//! Versions of firmware (`UpdateService.FirmwareInventory`), and the parts that the system is made of.

use resources::bmc::{BmcProtocol, BmcReport, FirmwareVersion};
use serde_json::Value;

use super::Redfish;
use super::loose::{link, part, text};
use super::walk::is_of_one;
use crate::Error;

/// More versions than this are not read.
const MAX_FIRMWARE: usize = 256;

impl Redfish {
    pub(super) async fn read_firmware(&self) -> Result<BmcReport, Error> {
        let system = self.system_document().await?;
        let mut report = BmcReport::new(BmcProtocol::Redfish);
        report.parts.push(part("system".to_owned(), &system));
        for chassis in self.chassis(&system, &mut report.notes).await? {
            let name = text(&chassis, "Id").unwrap_or_default();
            report
                .parts
                .push(part(format!("chassis {name}").trim().to_owned(), &chassis));
        }
        match self.firmware_inventory().await? {
            Ok(collection) => {
                let found = self
                    .members(
                        &collection,
                        "versions of firmware",
                        MAX_FIRMWARE,
                        &mut report.notes,
                    )
                    .await?;
                report.firmware.extend(found.iter().filter_map(version));
            }
            Err(why) => {
                report
                    .notes
                    .push(format!("{why}: only the versions of BIOS and BMC are known"));
                let bios = text(&system, "BiosVersion").map(|version| ("BIOS".to_owned(), version));
                let managers = self.managers(&system, &mut report.notes).await?;
                let of_manager = |manager: &Value| {
                    let name = text(manager, "Name").unwrap_or_else(|| "BMC".to_owned());
                    Some((name, text(manager, "FirmwareVersion")?))
                };
                let known = bios.into_iter().chain(managers.iter().filter_map(of_manager));
                report
                    .firmware
                    .extend(known.map(|(name, version)| FirmwareVersion {
                        name,
                        version: Some(version),
                        updateable: None,
                    }));
            }
        }
        Ok(report)
    }

    /// Where the versions are listed, or why they are not.
    pub(super) async fn firmware_inventory(&self) -> Result<Result<String, String>, Error> {
        let Some(path) = link(&self.service().await?.root, "UpdateService") else {
            return Ok(Err("it has no UpdateService".to_owned()));
        };
        match self.document(path).await {
            Ok(service) => Ok(link(&service, "FirmwareInventory")
                .map(str::to_owned)
                .ok_or_else(|| "its UpdateService has no FirmwareInventory".to_owned())),
            Err(error) if is_of_one(&error) => Ok(Err(error.to_string())),
            Err(error) => Err(error),
        }
    }
}

fn version(document: &Value) -> Option<FirmwareVersion> {
    Some(FirmwareVersion {
        name: text(document, "Name").or_else(|| text(document, "Id"))?,
        version: text(document, "Version"),
        updateable: document.get("Updateable").and_then(Value::as_bool),
    })
}
