//! What a Redfish service can do, by what it offers; nothing is written to find out.

use resources::bmc::{BmcProtocol, BmcReport, Capability};

use super::Redfish;
use super::loose::link;
use super::model::System;
use super::request;
use super::sensors::SOURCES;
use crate::{BootDevice, BootMode, BootOverride, Error, PowerAction};

impl Redfish {
    pub(super) async fn read_capabilities(&self) -> Result<BmcReport, Error> {
        let mut report = BmcReport::new(BmcProtocol::Redfish);
        let (_, system) = self.system().await?;
        let document = self.system_document().await?;
        let mut all = self.of_system(&system).await?;
        let chassis = self.chassis(&document, &mut report.notes).await?;
        let has = |source: &&str| chassis.iter().any(|chassis| link(chassis, source).is_some());
        all.push(match SOURCES.iter().any(has) {
            true => Capability::available("sensors"),
            false => Capability::missing("sensors", format!("no chassis has {}", SOURCES.join(", "))),
        });
        all.push(
            match self.log_services(&document, &mut report.notes).await?.is_empty() {
                false => Capability::available("log"),
                true => Capability::missing("log", "neither the system nor its managers have a log service"),
            },
        );
        all.push(match self.firmware_inventory().await? {
            Ok(_) => Capability::available("firmware"),
            Err(why) => Capability::missing("firmware", why),
        });
        all.push(match self.light(&document).await? {
            Some(_) => Capability::available("identify light"),
            None => Capability::missing(
                "identify light",
                "neither system nor chassis has LocationIndicatorActive or IndicatorLED",
            ),
        });
        report.capabilities = all;
        Ok(report)
    }

    /// Power actions and boot sources, by the same functions that make their requests.
    async fn of_system(&self, system: &System) -> Result<Vec<Capability>, Error> {
        let (host, quirks) = (self.transport.host(), self.service().await?.quirks);
        let told = |name: String, outcome: Result<(), Error>| match outcome {
            Ok(()) => Capability::available(&name),
            Err(Error::Unsupported { offered, .. }) => {
                Capability::missing(&name, format!("it offers {offered}"))
            }
            Err(error) => Capability::missing(&name, error.to_string()),
        };
        let power = PowerAction::ALL.iter().map(|action| {
            let made = request::reset(host, system, quirks, *action).map(drop);
            told(format!("power {action}"), made)
        });
        let boot = BootDevice::ALL.iter().map(|device| {
            let in_either =
                |mode| request::boot_patch(host, system, quirks, BootOverride::once(*device, mode)).map(drop);
            let made =
                in_either(BootMode::Uefi).or_else(|error| in_either(BootMode::Legacy).map_err(|_| error));
            told(format!("boot from {device}"), made)
        });
        Ok(power.chain(boot).collect())
    }
}
