//! The IPMI 2.0 client: RMCP+ sessions over UDP.
//!
//! Invariants: nothing is sent in a session before the BMC has proved that it knows the password and the session's keys,
//! and a session that was opened is closed, also when its client is dropped in the middle of something. Where a whole
//! process dies, the BMC ends the session by its own time limit (60 s).
//!
//! What the protocol cannot help: whoever asks a BMC for a session gets a code by which passwords can be guessed offline
//! (IPMI 2.0 §13.31.1). Only long random passwords and a network of its own help; therefore IPMI is spoken only where a
//! machine's settings name it.
//!
//! Written by hand: of the crates at hand, `ruipmi` 0.6.2 panics on a truncated RAKP 2, leaves the session open when it
//! is dropped, takes a late answer for that of the next request, and has a fixed port.

mod boot;
mod capabilities;
mod connection;
mod inventory;
mod log;
mod records;
mod sensors;
mod session;
mod socket;

use ::ipmi::{ChassisStatus, Command, Control, Identify};
use futures::future::BoxFuture;
use resources::bmc::{BmcReport, Indicator, ReportKind};
use tokio::sync::Mutex;

use crate::{Bmc, BootOverride, Error, Inventory, PowerAction, PowerState};
pub use connection::IpmiConnection;
use session::Session;
use socket::Repeat;

/// A client of one BMC. Cheap to make: nothing is sent before the first call.
#[derive(Debug)]
pub struct Ipmi {
    connection: IpmiConnection,
    session: Mutex<Option<Session>>,
}

impl Ipmi {
    /// Prepares a client; fails only if the connection's data cannot be used at all.
    pub fn new(connection: IpmiConnection) -> Result<Self, Error> {
        connection.check()?;
        Ok(Self {
            connection,
            session: Mutex::new(None),
        })
    }

    /// Whether something at this address answers as a BMC with IPMI 2.0. Sends neither user nor password.
    pub async fn detect(&self) -> Result<(), Error> {
        session::detect(&self.connection).await
    }

    fn host(&self) -> &str {
        &self.connection.host
    }

    /// Does one command in the session, which is opened where there is none.
    async fn run(&self, command: Command, data: &[u8], repeat: Repeat) -> Result<Vec<u8>, Error> {
        let mut held = self.session.lock().await;
        let session = match held.as_mut() {
            Some(session) => session,
            None => held.insert(Session::open(&self.connection).await?),
        };
        let result = session.request(command, data, repeat).await;
        if matches!(result, Err(Error::Timeout { .. } | Error::Unreachable { .. })) {
            // The BMC may have restarted and know the session no more. Dropping it asks for its end.
            held.take();
        }
        result
    }

    fn malformed(&self, command: Command) -> impl FnOnce(::ipmi::Malformed) -> Error {
        let host = self.host().to_owned();
        move |problem| Error::Malformed {
            host,
            path: command.to_string(),
            problem: problem.to_string(),
        }
    }

    async fn read_chassis(&self) -> Result<ChassisStatus, Error> {
        let command = Command::ChassisStatus;
        let data = self.run(command, &[], Repeat::Yes).await?;
        ChassisStatus::parse(&data).map_err(self.malformed(command))
    }

    async fn read_power(&self) -> Result<PowerState, Error> {
        Ok(if self.read_chassis().await?.on {
            PowerState::On
        } else {
            PowerState::Off
        })
    }

    async fn send_power(&self, action: PowerAction) -> Result<(), Error> {
        let (control, repeat) = match action {
            PowerAction::On => (Control::On, Repeat::Yes),
            PowerAction::Off => (Control::Off, Repeat::Yes),
            PowerAction::Soft => (Control::Soft, Repeat::Yes),
            PowerAction::Cycle => (Control::Cycle, Repeat::No),
            PowerAction::Reset => (Control::Reset, Repeat::No),
            PowerAction::Nmi => (Control::DiagnosticInterrupt, Repeat::No),
        };
        if action.is_done_by(self.read_power().await?) {
            return Ok(());
        }
        self.run(Command::ChassisControl, &[control.number()], repeat)
            .await
            .map(drop)
    }

    async fn send_identify(&self, light: Indicator) -> Result<(), Error> {
        let (wanted, identify) = match light {
            Indicator::On => (true, Identify::On),
            Indicator::Off => (false, Identify::Off),
        };
        self.run(Command::ChassisIdentify, &identify.to_bytes(), Repeat::Yes)
            .await?;
        let word = |on: bool| if on { "on" } else { "off" };
        match self.read_chassis().await?.identifies {
            Some(shown) if shown != wanted => Err(Error::LightNotSet {
                host: self.host().to_owned(),
                wanted: word(wanted),
                shown: word(shown).to_owned(),
            }),
            _ => Ok(()),
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
}

impl Bmc for Ipmi {
    fn power_state(&self) -> BoxFuture<'_, Result<PowerState, Error>> {
        Box::pin(self.read_power())
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
        Box::pin(async {
            if let Some(session) = self.session.lock().await.take() {
                session.close().await;
            }
        })
    }
}
