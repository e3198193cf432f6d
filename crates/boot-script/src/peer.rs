//! Who is at the other end of a connection. Every service that answers machines grades its callers here, and nowhere
//! else: [`BootView::peer`] by the address, [`Peer::certified`] by a certificate on top of it.
//!
//! | grade | what speaks for it | what it may have |
//! |---|---|---|
//! | stranger | nothing | what is public: boot files, images, the script of an unarmed machine |
//! | [`Proof::Address`] | it has the address that one Hardware reserves | its own boot script and metadata, and a try to claim |
//! | [`Proof::Certificate`] | also a certificate of an attempt or first boot of that machine | what the live session allows that key |

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::decide::Asker;
use crate::target::{BootTarget, MachineFacts};
use crate::view::{BootView, Lookup};

/// A graded caller. Made for one request: who has an address can change with the next change of a Hardware.
#[derive(Debug, Clone)]
pub struct Peer {
    address: IpAddr,
    standing: Standing,
}

#[derive(Debug, Clone)]
enum Standing {
    NotLoaded,
    Stranger,
    Ambiguous(Vec<String>),
    Machine(Arc<BootTarget>, Proof),
}

/// What shows that a peer is a machine; the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// It has the address that the machine's Hardware reserves.
    Address,
    /// It also has the key of a certificate that names the machine.
    Certificate,
}

/// Why a certificate does not count for the peer that shows it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Misfit {
    /// Nobody can be graded yet.
    #[error("the appliance is still reading its objects; ask again")]
    NotLoaded,
    /// No Server has the certificate's machine id.
    #[error("the certificate is of machine {0}, which is not known any more")]
    Gone(String),
    /// The certificate is of a machine that has other addresses.
    #[error(
        "the certificate is of {}, whose Hardware names {}, but the call comes from {peer}; if the machine has this \
         address, write it into its Hardware",
        target.name(),
        addresses(&target.machine)
    )]
    Address {
        /// One NIC of the certificate's machine.
        target: Arc<BootTarget>,
        /// Where the call comes from.
        peer: IpAddr,
    },
}

impl Misfit {
    /// The machine that the certificate is of, when it is known.
    #[must_use]
    pub fn target(&self) -> Option<&Arc<BootTarget>> {
        match self {
            Self::Address { target, .. } => Some(target),
            Self::NotLoaded | Self::Gone(_) => None,
        }
    }
}

impl BootView {
    /// Grades a caller by its address alone. An IPv4 address in its IPv6 form is that IPv4 address.
    #[must_use]
    pub fn peer(&self, address: IpAddr) -> Peer {
        let address = address.to_canonical();
        let found = match address {
            IpAddr::V4(address) => self.by_address(address),
            // Reservations are of IPv4 addresses.
            IpAddr::V6(_) if self.loaded() => Lookup::Unknown,
            IpAddr::V6(_) => Lookup::NotLoaded,
        };
        let standing = match found {
            Lookup::NotLoaded => Standing::NotLoaded,
            Lookup::Unknown => Standing::Stranger,
            Lookup::Ambiguous(names) => Standing::Ambiguous(names.to_vec()),
            Lookup::Known(target) => Standing::Machine(Arc::clone(target), Proof::Address),
        };
        Peer { address, standing }
    }
}

impl Peer {
    /// Its address, an IPv4 address in its own form.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// The NIC whose machine this peer is, if it is one.
    #[must_use]
    pub const fn target(&self) -> Option<&Arc<BootTarget>> {
        match &self.standing {
            Standing::Machine(target, _) => Some(target),
            Standing::NotLoaded | Standing::Stranger | Standing::Ambiguous(_) => None,
        }
    }

    /// How well it is known; `None` for a stranger.
    #[must_use]
    pub const fn proof(&self) -> Option<Proof> {
        match &self.standing {
            Standing::Machine(_, proof) => Some(*proof),
            Standing::NotLoaded | Standing::Stranger | Standing::Ambiguous(_) => None,
        }
    }

    /// The machine at this address, as the view's other lookups have it.
    #[must_use]
    pub fn lookup(&self) -> Lookup<'_> {
        match &self.standing {
            Standing::NotLoaded => Lookup::NotLoaded,
            Standing::Stranger => Lookup::Unknown,
            Standing::Ambiguous(names) => Lookup::Ambiguous(names),
            Standing::Machine(target, _) => Lookup::Known(target),
        }
    }

    /// Whether it is this machine, through whichever of its NICs.
    #[must_use]
    pub fn is(&self, machine: &MachineFacts) -> bool {
        self.target()
            .is_some_and(|own| own.machine.namespace == machine.namespace && own.machine.name == machine.name)
    }

    /// Whether it asks for itself when it asks for `subject`.
    #[must_use]
    pub fn asks_for(&self, subject: Lookup<'_>) -> Asker {
        match subject.known() {
            Some(target) if self.is(&target.machine) => Asker::Machine,
            _ => Asker::Other,
        }
    }

    /// Grades it by a certificate that TLS verified. An installed system may come from any address that the machine's
    /// Hardware names, reserved or not.
    ///
    /// # Errors
    /// If the certificate is of another machine than this peer.
    pub fn certified(self, view: &BootView, machine_id: &str) -> Result<Self, Misfit> {
        if !view.loaded() {
            return Err(Misfit::NotLoaded);
        }
        let target = view
            .by_machine_id(machine_id)
            .ok_or_else(|| Misfit::Gone(machine_id.to_owned()))?;
        let address = self.address;
        let named = matches!(address, IpAddr::V4(address) if target.machine.addresses().contains(&address));
        // An address that two Hardware objects name is nobody's.
        if !named || matches!(self.standing, Standing::Ambiguous(_)) {
            return Err(Misfit::Address {
                target: Arc::clone(target),
                peer: address,
            });
        }
        let own = self.target().filter(|_| self.is(&target.machine));
        let target = own.unwrap_or(target);
        Ok(Self {
            address,
            standing: Standing::Machine(Arc::clone(target), Proof::Certificate),
        })
    }
}

fn addresses(machine: &MachineFacts) -> String {
    let named: Vec<String> = machine.addresses().iter().map(Ipv4Addr::to_string).collect();
    if named.is_empty() {
        "no address".to_owned()
    } else {
        named.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use resources::gantry::ServerSpec;
    use resources::tinkerbell::{
        Dhcp, HardwareInterface, HardwareMetadata, HardwareSpec, Instance, InstanceIp, Ip,
    };

    use super::*;

    fn interface(last: u8, address: &str) -> HardwareInterface {
        HardwareInterface {
            dhcp: Some(Dhcp {
                mac: Some(resources::Mac::new([2, 0, 0, 0, 0, last])),
                ip: Some(Ip {
                    address: Some(address.into()),
                    ..Ip::default()
                }),
                ..Dhcp::default()
            }),
            ..HardwareInterface::default()
        }
    }

    fn machine(name: &str, interfaces: Vec<HardwareInterface>, named: &[&str]) -> Vec<Arc<BootTarget>> {
        let ip = |address: &&str| InstanceIp {
            address: Some((*address).into()),
            ..InstanceIp::default()
        };
        let instance = Instance {
            ips: named.iter().map(ip).collect(),
            ..Instance::default()
        };
        let hardware = HardwareSpec {
            interfaces,
            metadata: Some(HardwareMetadata {
                instance: Some(instance),
                ..HardwareMetadata::default()
            }),
            ..HardwareSpec::default()
        };
        let server = ServerSpec {
            machine_id: format!("id-{name}"),
            ..ServerSpec::default()
        };
        BootTarget::all_of(MachineFacts::new("n", name, hardware, Some((&server, None))))
    }

    /// `a` has two NICs and an address that only its installed system has; `b` and `c` share one.
    fn view() -> BootView {
        let mut all = machine(
            "a",
            vec![interface(1, "10.0.0.1"), interface(2, "10.0.0.2")],
            &["10.9.0.1"],
        );
        all.extend(machine(
            "b",
            vec![interface(3, "10.0.0.3"), interface(5, "10.0.0.9")],
            &[],
        ));
        all.extend(machine("c", vec![interface(4, "10.0.0.9")], &[]));
        BootView::new(all)
    }

    fn peer(address: &str) -> Peer {
        view().peer(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_its_machine_in_either_form() {
        for (address, machine) in [
            ("10.0.0.1", Some("a")),
            ("10.0.0.2", Some("a")),
            ("::ffff:10.0.0.2", Some("a")),
            ("10.0.0.3", Some("b")),
            ("10.0.0.9", None),
            ("10.9.0.1", None),
            ("10.0.0.4", None),
            ("::10.0.0.1", None),
            ("64:ff9b::a00:1", None),
            ("2001:db8::1", None),
        ] {
            let peer = peer(address);
            assert_eq!(peer.target().map(|target| target.name()), machine, "{address}");
            assert_eq!(peer.proof(), machine.map(|_| Proof::Address), "{address}");
        }
        assert!(matches!(peer("10.0.0.9").lookup(), Lookup::Ambiguous(_)));
        for address in ["10.0.0.1", "2001:db8::1"] {
            let nobody = BootView::default().peer(address.parse().unwrap());
            assert!(matches!(nobody.lookup(), Lookup::NotLoaded), "{address}");
        }
    }

    #[test]
    fn a_certificate_counts_from_an_address_of_its_machine() {
        let view = view();
        for (address, id, fits) in [
            ("10.0.0.1", "id-a", true),
            ("10.0.0.2", "id-a", true),
            ("10.9.0.1", "id-a", true),
            ("::ffff:10.0.0.1", "id-a", true),
            ("10.0.0.3", "id-a", false),
            ("10.0.0.77", "id-a", false),
            ("2001:db8::1", "id-a", false),
            ("10.0.0.1", "id-b", false),
            ("10.0.0.9", "id-c", false),
            ("10.0.0.1", "id-x", false),
        ] {
            let certified = peer(address).certified(&view, id);
            assert_eq!(certified.is_ok(), fits, "{address} {id}");
            if let Ok(certified) = certified {
                assert_eq!(certified.proof(), Some(Proof::Certificate));
                assert_eq!(certified.target().map(|target| target.name()), Some("a"));
            }
        }
        let text = peer("10.0.0.3").certified(&view, "id-a").unwrap_err().to_string();
        assert!(
            text.contains("10.0.0.1, 10.0.0.2, 10.9.0.1") && text.contains("10.0.0.3"),
            "{text}"
        );
        assert!(matches!(
            peer("10.0.0.1").certified(&BootView::default(), "id-a"),
            Err(Misfit::NotLoaded)
        ));
    }

    #[test]
    fn only_the_machine_itself_asks_for_itself() {
        let view = view();
        let subject = view.by_mac(resources::Mac::new([2, 0, 0, 0, 0, 1]));
        for (address, asker) in [
            ("10.0.0.1", Asker::Machine),
            ("10.0.0.2", Asker::Machine),
            ("10.0.0.3", Asker::Other),
            ("10.0.0.9", Asker::Other),
            ("10.9.0.1", Asker::Other),
        ] {
            assert_eq!(
                view.peer(address.parse().unwrap()).asks_for(subject),
                asker,
                "{address}"
            );
        }
        let nobody = view.by_mac(resources::Mac::new([2, 0, 0, 0, 0, 77]));
        assert_eq!(
            view.peer(IpAddr::from([10, 0, 0, 1])).asks_for(nobody),
            Asker::Other
        );
    }
}
