//! The Redfish client (DSP0266): one BMC, one origin, one system.
//!
//! Invariant: nothing that the BMC says leads a request, and with it the password, to another origin.

mod body;
mod capabilities;
mod firmware;
mod indicator;
mod log;
mod loose;
mod model;
mod quirks;
mod request;
mod sensors;
mod tls;
mod transport;
mod walk;

use futures::future::BoxFuture;
use http::Method;
use resources::bmc::{BmcReport, Indicator, ReportKind};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::{Bmc, BootOverride, Connection, Error, Inventory, Nic, PowerAction, PowerState};
use model::{Collection, EthernetInterface, ServiceRoot, System};
use quirks::Quirks;
use transport::Transport;

const ROOT: &str = "/redfish/v1/";
/// More interfaces than this are not read.
const MAX_NICS: usize = 64;

/// A client of one Redfish BMC. Cheap to make: nothing is sent before the first call.
#[derive(Debug)]
pub struct Redfish {
    transport: Transport,
    wanted_system: Option<String>,
    service: OnceCell<Service>,
}

/// What is read once: where the system is and which deviations its vendor has.
#[derive(Debug)]
struct Service {
    /// The service root as it was given.
    root: Value,
    system_path: String,
    quirks: &'static Quirks,
}

impl Redfish {
    /// Prepares a client; fails only if the connection's data cannot be used at all.
    pub fn new(connection: Connection) -> Result<Self, Error> {
        let wanted_system = connection.system.clone();
        Ok(Self {
            transport: Transport::new(connection)?,
            wanted_system,
            service: OnceCell::new(),
        })
    }

    /// SHA-256 of the certificate that the BMC showed last; `None` before the first answer.
    #[must_use]
    pub fn seen_fingerprint(&self) -> Option<[u8; 32]> {
        self.transport.seen_fingerprint()
    }

    /// Whether something at this address answers as a Redfish service. Sends neither user nor password.
    pub async fn detect(&self) -> Result<(), Error> {
        match self.transport.greet::<ServiceRoot>(ROOT).await {
            // A service that wants a login for its root too is one all the same.
            Ok(_) | Err(Error::Login { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn service(&self) -> Result<&Service, Error> {
        self.service.get_or_try_init(|| self.discover()).await
    }

    async fn discover(&self) -> Result<Service, Error> {
        let document: Value = self.transport.get(ROOT).await?;
        let root: ServiceRoot = self.transport.read_value(ROOT, &document)?;
        let quirks = quirks::of(root.vendor.as_deref(), root.product.as_deref());
        let systems: Collection = self
            .transport
            .get(&self.transport.local(&root.systems.id)?)
            .await?;
        let system = request::choose_system(self.transport.host(), &systems, self.wanted_system.as_deref())?;
        Ok(Service {
            root: document,
            system_path: self.transport.local(&system)?,
            quirks,
        })
    }

    async fn system(&self) -> Result<(&Service, System), Error> {
        let service = self.service().await?;
        Ok((service, self.transport.get(&service.system_path).await?))
    }

    /// The system with every field that it has.
    async fn system_document(&self) -> Result<Value, Error> {
        self.transport.get(&self.service().await?.system_path).await
    }

    fn missing(&self, what: &'static str, reason: &str) -> Error {
        Error::Missing {
            host: self.transport.host().to_owned(),
            what,
            reason: reason.to_owned(),
        }
    }

    async fn read_report(&self, kind: ReportKind) -> Result<BmcReport, Error> {
        match kind {
            ReportKind::Sensors => self.read_sensors().await,
            ReportKind::Log => self.read_log().await,
            ReportKind::Firmware => self.read_firmware().await,
            ReportKind::Capabilities => self.read_capabilities().await,
        }
    }

    async fn send_power(&self, action: PowerAction) -> Result<(), Error> {
        let (service, system) = self.system().await?;
        if action.is_done_by(system.power()) {
            return Ok(());
        }
        let reset = request::reset(self.transport.host(), &system, service.quirks, action)?;
        let target = self.transport.local(&reset.target)?;
        self.transport
            .send(Method::POST, &target, &reset.body, None)
            .await
    }

    async fn send_boot(&self, boot: BootOverride) -> Result<(), Error> {
        let (service, system) = self.system().await?;
        let patch = request::boot_patch(self.transport.host(), &system, service.quirks, boot)?;
        self.transport
            .send(
                Method::PATCH,
                &service.system_path,
                &patch,
                system.etag.as_deref(),
            )
            .await?;
        let after: System = self.transport.get(&service.system_path).await?;
        request::boot_confirmed(self.transport.host(), &after, boot)
    }

    async fn read_inventory(&self) -> Result<Inventory, Error> {
        let (_, system) = self.system().await?;
        let mut nics = Vec::new();
        if let Some(link) = &system.ethernet_interfaces {
            let all: Collection = self.transport.get(&self.transport.local(&link.id)?).await?;
            for member in all.members.iter().take(MAX_NICS) {
                let path = self.transport.local(&member.id)?;
                let nic: EthernetInterface = self.transport.get(&path).await?;
                if let Some(mac) = nic.mac() {
                    nics.push(Nic {
                        id: nic.id.unwrap_or(path),
                        mac,
                    });
                }
            }
        }
        Ok(Inventory {
            uuid: system.uuid.map(|text| text.to_ascii_lowercase()),
            serial: system.serial_number,
            manufacturer: system.manufacturer,
            model: system.model,
            firmware_version: system.bios_version,
            nics,
        })
    }
}

impl Bmc for Redfish {
    fn power_state(&self) -> BoxFuture<'_, Result<PowerState, Error>> {
        Box::pin(async { Ok(self.system().await?.1.power()) })
    }

    fn power(&self, action: PowerAction) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.send_power(action))
    }

    fn set_boot(&self, boot: BootOverride) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.send_boot(boot))
    }

    fn inventory(&self) -> BoxFuture<'_, Result<Inventory, Error>> {
        Box::pin(self.read_inventory())
    }

    fn report(&self, kind: ReportKind) -> BoxFuture<'_, Result<BmcReport, Error>> {
        Box::pin(self.read_report(kind))
    }

    fn identify(&self, light: Indicator) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.send_identify(light))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.transport.close_session())
    }
}
