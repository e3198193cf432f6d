//! One NIC of one Hardware with what its Server says of booting.

use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::Timestamp;
use resources::Mac;
use resources::gantry::{LocalBoot, ServerSpec, ServerStatus, SessionPhase};
use resources::tinkerbell::{HardwareInterface, HardwareSpec};

/// The open boot session of a machine, as far as booting needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Number of the attempt.
    pub attempt: u64,
    /// Boot inside the attempt.
    pub boot: u32,
    /// Public name of the session.
    pub boot_id: String,
    /// Phase.
    pub phase: SessionPhase,
    /// End of the armed window.
    pub deadline: Timestamp,
}

/// What all NICs of a machine share.
#[derive(Debug, Clone, PartialEq)]
pub struct MachineFacts {
    /// Namespace of the Hardware.
    pub namespace: String,
    /// Name of the Hardware (and of its Server).
    pub name: String,
    /// The Hardware.
    pub hardware: HardwareSpec,
    /// The last boot session, open or not.
    pub session: Option<Session>,
    /// Number of the newest attempt that is wanted.
    pub attempt: Option<u64>,
    /// Whether that attempt is over or about to leave the installer.
    pub leaving: bool,
    /// What was installed.
    pub local_boot: Option<LocalBoot>,
}

impl MachineFacts {
    /// Joins a Hardware with its Server, if there is one yet.
    #[must_use]
    pub fn new(
        namespace: &str,
        name: &str,
        hardware: HardwareSpec,
        server: Option<(&ServerSpec, Option<&ServerStatus>)>,
    ) -> Self {
        let attempt = server.and_then(|(spec, _)| spec.attempt.as_ref());
        let status = server.and_then(|(_, status)| status);
        let session = status.and_then(|status| status.boot_session.as_ref());
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            hardware,
            session: session.map(|session| Session {
                attempt: session.attempt,
                boot: session.boot,
                boot_id: session.boot_id.clone(),
                phase: session.phase,
                deadline: session.deadline.0,
            }),
            attempt: attempt.map(|attempt| attempt.number),
            leaving: attempt.is_some_and(|attempt| attempt.handover || attempt.closed),
            local_boot: status.and_then(|status| status.local_boot.clone()),
        }
    }
}

/// One NIC of one machine.
#[derive(Debug, Clone, PartialEq)]
pub struct BootTarget {
    /// Address of the NIC.
    pub mac: Mac,
    /// Position in `Hardware.spec.interfaces`.
    pub index: usize,
    /// The machine.
    pub machine: Arc<MachineFacts>,
}

impl BootTarget {
    /// All NICs of a machine that have a MAC address.
    #[must_use]
    pub fn all_of(machine: MachineFacts) -> Vec<Arc<Self>> {
        let machine = Arc::new(machine);
        let interfaces = machine.hardware.interfaces.iter().enumerate();
        let macs = interfaces.filter_map(|(index, interface)| Some((index, interface.dhcp.as_ref()?.mac?)));
        macs.map(|(index, mac)| {
            Arc::new(Self {
                mac,
                index,
                machine: Arc::clone(&machine),
            })
        })
        .collect()
    }

    /// The NIC in the Hardware.
    #[must_use]
    pub fn interface(&self) -> Option<&HardwareInterface> {
        self.machine.hardware.interfaces.get(self.index)
    }

    /// The reserved IPv4 address.
    #[must_use]
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.interface()?
            .dhcp
            .as_ref()?
            .ip
            .as_ref()?
            .address
            .as_ref()?
            .trim()
            .parse()
            .ok()
    }

    /// Name of the Hardware: the machine's key in records and logs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.machine.name
    }
}
