//! One NIC of one Hardware with what its Server says of booting.

use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;
use jiff::Timestamp;
use resources::Mac;
use resources::gantry::{LocalBoot, ServerSpec, ServerStatus, SessionPhase};
use resources::tinkerbell::{HardwareInterface, HardwareSpec};

/// Namespace and name of a Hardware.
pub(crate) type Key = (String, String);

/// A netmask with fewer bits is a mistake: its network would take in everybody.
pub(crate) const WIDEST: u8 = 8;

/// The open boot session of a machine, as far as booting needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Number of the attempt.
    pub attempt: u64,
    /// Boot inside the attempt.
    pub boot: u32,
    /// Public name of the session.
    pub boot_id: String,
    /// Boot ids of earlier boots of the attempt; a machine that runs already may still carry one.
    pub superseded: Vec<String>,
    /// Phase.
    pub phase: SessionPhase,
    /// End of the armed window.
    pub deadline: Timestamp,
}

/// What a Server says of booting.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ServerFacts {
    machine_id: String,
    session: Option<Session>,
    attempt: Option<u64>,
    leaving: bool,
    local_boot: Option<LocalBoot>,
}

impl ServerFacts {
    pub(crate) fn new(spec: &ServerSpec, status: Option<&ServerStatus>) -> Self {
        let attempt = spec.attempt.as_ref();
        let session = status.and_then(|status| status.boot_session.as_ref());
        Self {
            machine_id: spec.machine_id.clone(),
            session: session.map(|session| Session {
                attempt: session.attempt,
                boot: session.boot,
                boot_id: session.boot_id.clone(),
                superseded: session.superseded.clone(),
                phase: session.phase,
                deadline: session.deadline.0,
            }),
            attempt: attempt.map(|attempt| attempt.number),
            leaving: attempt.is_some_and(|attempt| attempt.handover || attempt.closed),
            local_boot: status.and_then(|status| status.local_boot.clone()),
        }
    }
}

/// What all NICs of a machine share.
#[derive(Debug, Clone, PartialEq)]
pub struct MachineFacts {
    /// Namespace of the Hardware.
    pub namespace: String,
    /// Name of the Hardware (and of its Server).
    pub name: String,
    /// `Server.spec.machineId`, which certificates name; `None` before there is a Server.
    pub machine_id: Option<String>,
    /// The Hardware.
    pub hardware: Arc<HardwareSpec>,
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
        let server = server.map(|(spec, status)| ServerFacts::new(spec, status));
        Self::of(
            &(namespace.to_owned(), name.to_owned()),
            Arc::new(hardware),
            server,
        )
    }

    pub(crate) fn of(
        (namespace, name): &Key,
        hardware: Arc<HardwareSpec>,
        server: Option<ServerFacts>,
    ) -> Self {
        let mut facts = Self {
            namespace: namespace.clone(),
            name: name.clone(),
            machine_id: None,
            hardware,
            session: None,
            attempt: None,
            leaving: false,
            local_boot: None,
        };
        if let Some(server) = server {
            facts.machine_id = Some(server.machine_id);
            facts.session = server.session;
            facts.attempt = server.attempt;
            facts.leaving = server.leaving;
            facts.local_boot = server.local_boot;
        }
        facts
    }

    /// Every IPv4 address that the Hardware names: the reserved ones, and those of the installed system.
    #[must_use]
    pub fn addresses(&self) -> Vec<Ipv4Addr> {
        let metadata = self.hardware.metadata.as_ref();
        let instance = metadata.and_then(|metadata| metadata.instance.as_ref());
        let installed = instance
            .into_iter()
            .flat_map(|instance| &instance.ips)
            .filter_map(|ip| ip.address.as_ref()?.trim().parse().ok());
        let mut all = self.reserved_addresses();
        for address in installed {
            if !all.contains(&address) {
                all.push(address);
            }
        }
        all
    }

    /// The IPv4 addresses that the Hardware reserves for the machine's NICs.
    #[must_use]
    pub fn reserved_addresses(&self) -> Vec<Ipv4Addr> {
        self.hardware.interfaces.iter().filter_map(reserved).collect()
    }

    /// MAC addresses of the Hardware.
    pub fn macs(&self) -> impl Iterator<Item = Mac> {
        let interfaces = self.hardware.interfaces.iter();
        interfaces.filter_map(|interface| interface.dhcp.as_ref()?.mac)
    }
}

fn reserved(interface: &HardwareInterface) -> Option<Ipv4Addr> {
    let ip = interface.dhcp.as_ref()?.ip.as_ref()?;
    ip.address.as_ref()?.trim().parse().ok()
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
        reserved(self.interface()?)
    }

    /// The reserved address with the prefix of its network, if the Hardware has a netmask for it.
    #[must_use]
    pub fn network(&self) -> Option<Ipv4Net> {
        let ip = self.interface()?.dhcp.as_ref()?.ip.as_ref()?;
        let mask: Ipv4Addr = ip.netmask.as_ref()?.trim().parse().ok()?;
        Ipv4Net::with_netmask(self.address()?, mask)
            .ok()
            .filter(|network| network.prefix_len() >= WIDEST)
    }

    pub(crate) fn key(&self) -> Key {
        (self.machine.namespace.clone(), self.machine.name.clone())
    }

    /// Name of the Hardware: the machine's key in records and logs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.machine.name
    }
}
