//! What a server is given: the machine, the user, the limits.

use std::net::SocketAddr;
use std::time::Duration;

use futures::future::BoxFuture;
use ipmi::{
    BootFlags, CipherSuite, Completion, Control, DeviceId, Identify, Privilege, ProductInfo, SelRecord,
    SensorReading, SensorRecord,
};
use resources::Secret;

/// The machine behind a BMC.
pub trait Chassis: Send + Sync + 'static {
    /// Whether it is on now.
    fn is_on(&self) -> bool;

    /// Does a power action for a client, or says by its completion code why not.
    fn control(&self, control: Control, peer: SocketAddr) -> BoxFuture<'_, Result<(), Completion>>;

    /// The boot flags in force.
    fn boot_flags(&self) -> BootFlags;

    /// Sets the boot flags for a client.
    fn set_boot_flags(&self, flags: BootFlags, peer: SocketAddr) -> BoxFuture<'_, Result<(), Completion>>;

    /// Which machine it is.
    fn identity(&self) -> Identity;

    /// Its sensors with what they read now.
    fn sensors(&self) -> Vec<Sensor>;

    /// Its event log, oldest entry first.
    fn events(&self) -> Vec<SelRecord>;

    /// Whether its identify light is on.
    fn identifies(&self) -> bool;

    /// Switches its identify light for a client.
    fn identify(&self, identify: Identify, peer: SocketAddr) -> BoxFuture<'_, Result<(), Completion>>;
}

/// A sensor and what it reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensor {
    pub record: SensorRecord,
    pub reading: SensorReading,
}

/// Identity of a machine as its BMC tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The bytes of its GUID as they are sent.
    pub guid: [u8; 16],
    pub product: ProductInfo,
}

/// The user of a BMC.
#[derive(Debug, Clone)]
pub struct Account {
    pub name: String,
    pub password: Secret<String>,
    /// The highest privilege it gets.
    pub privilege: Privilege,
}

/// How a BMC is built.
#[derive(Debug, Clone)]
pub struct Profile {
    pub suites: Vec<CipherSuite>,
    /// Sessions at a time; one more is refused.
    pub sessions: usize,
    /// A session that is silent for so long has ended.
    pub idle: Duration,
    /// False: a BMC of the time before IPMI 2.0, which opens no session here.
    pub rmcp_plus: bool,
    /// What the BMC is, and which functions it says it has; the others are refused.
    pub device: DeviceId,
    /// What is wrong with what it tells.
    pub lies: Vec<Lie>,
}

/// What BMCs tell that cannot be, or make hard to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// The last sensor record names the first one as the next.
    SensorsLoop,
    /// Each entry of the event log names a further one, for ever.
    LogNeverEnds,
    /// No more than eight bytes of a record at a time.
    SmallReads,
    /// Somebody else takes each reservation at once.
    ReservationsLost,
}

/// A controller with every function that this server has.
pub const DEVICE: DeviceId = DeviceId {
    device: 0x20,
    revision: 1,
    firmware: (1, 4),
    in_update: false,
    ipmi: (2, 0),
    has_sensors: true,
    has_sdr: true,
    has_sel: true,
    has_fru: true,
    has_chassis: true,
    manufacturer: 0,
    product: 0,
};

impl Default for Profile {
    fn default() -> Self {
        Self {
            suites: CipherSuite::ALL.to_vec(),
            sessions: 4,
            // The specification's own value (§6.12.15).
            idle: Duration::from_secs(60),
            rmcp_plus: true,
            device: DEVICE,
            lies: Vec::new(),
        }
    }
}
