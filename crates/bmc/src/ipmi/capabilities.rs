//! What a BMC with IPMI can do, by its device id and harmless questions; and which firmware and parts it tells of.

use ::ipmi::{Command, DeviceId, FruPart, boot_parameter};
use resources::bmc::{BmcProtocol, BmcReport, Capability, FirmwareVersion, Part, bmc_text};

use super::Ipmi;
use super::socket::Repeat;
use crate::{Error, PowerAction};

impl Ipmi {
    pub(super) async fn read_firmware(&self) -> Result<BmcReport, Error> {
        let device = self.read_device().await?;
        let mut report = BmcReport::new(BmcProtocol::Ipmi);
        let (major, minor) = device.firmware;
        report.firmware.push(FirmwareVersion {
            name: "BMC".to_owned(),
            version: Some(format!("{major}.{minor:02}")),
            updateable: None,
        });
        report.notes.push(
            "IPMI tells the version of the BMC alone; Redfish tells those of the BIOS and of other parts"
                .to_owned(),
        );
        for (part, name) in [
            (FruPart::Product, "system"),
            (FruPart::Board, "board"),
            (FruPart::Chassis, "chassis"),
        ] {
            match self.read_part(part).await {
                Ok(Some(info)) => report.parts.push(Part {
                    name: name.to_owned(),
                    manufacturer: info.manufacturer.as_deref().and_then(bmc_text),
                    model: info.product.as_deref().and_then(bmc_text),
                    serial: info.serial.as_deref().and_then(bmc_text),
                    part_number: info.part_number.as_deref().and_then(bmc_text),
                }),
                Ok(None) => {}
                // A damaged area says nothing about the others.
                Err(Error::Malformed { problem, .. }) => report.notes.push(format!("{name}: {problem}")),
                Err(error) => return Err(error),
            }
        }
        Ok(report)
    }

    pub(super) async fn read_capabilities(&self) -> Result<BmcReport, Error> {
        let device = self.read_device().await?;
        let mut report = BmcReport::new(BmcProtocol::Ipmi);
        report.capabilities = of_device(device);
        report.capabilities.push(self.probe_boot().await?);
        report.capabilities.push(Capability::missing(
            "boot from http",
            "IPMI has no boot flag for it",
        ));
        let light = self.read_chassis().await?.identifies;
        let mut identify = Capability::available("identify light");
        if light.is_none() {
            identify.reason = Some("the BMC does not tell whether it is on".to_owned());
        }
        report.capabilities.push(identify);
        Ok(report)
    }

    /// Whether the BMC tells its boot flags, without which none is ever set here.
    async fn probe_boot(&self) -> Result<Capability, Error> {
        const NAME: &str = "boot from pxe, disk, cdrom, bios";
        let flags = [boot_parameter::FLAGS, 0, 0];
        match self.run(Command::GetBootOptions, &flags, Repeat::Yes).await {
            Ok(_) => Ok(Capability::available(NAME)),
            Err(Error::Completion { completion, .. }) => Ok(Capability::missing(
                NAME,
                format!("it does not tell its boot flags: {completion}"),
            )),
            Err(error) => Err(error),
        }
    }
}

/// What the device id says.
fn of_device(device: DeviceId) -> Vec<Capability> {
    let told = |name: &str, has: bool, without: &str| {
        if device.in_update {
            Capability::missing(name, "its firmware is being replaced, or it starts")
        } else if has {
            Capability::available(name)
        } else {
            Capability::missing(name, format!("its device id names no {without}"))
        }
    };
    let mut all: Vec<Capability> = PowerAction::ALL
        .iter()
        .map(|action| told(&format!("power {action}"), device.has_chassis, "chassis device"))
        .collect();
    all.push(told(
        "sensors",
        device.has_sdr && device.has_sensors,
        "sensors or no list of them",
    ));
    all.push(told("log", device.has_sel, "event log"));
    all.push(told("parts", device.has_fru, "FRU inventory"));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_the_device_id() {
        let bytes = [0x20, 1, 2, 0x61, 0x02, 0x88, 0, 0, 0, 0, 0];
        let device = DeviceId::parse(&bytes).unwrap();
        let told = of_device(device);
        let of = |name: &str| told.iter().find(|one| one.name == name).unwrap().clone();
        assert!(of("power nmi").available && of("parts").available);
        let log = of("log");
        assert!(!log.available && log.reason.unwrap().contains("no event log"));
        let starting = of_device(DeviceId {
            in_update: true,
            ..device
        });
        assert!(starting.iter().all(|one| !one.available));
    }
}
