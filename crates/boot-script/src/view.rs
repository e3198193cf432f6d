//! The index that boot services answer from: MAC and address to machine. Pure; replaced as a whole.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;
use resources::Mac;

use crate::target::{BootTarget, Session};

/// All machines at one moment.
#[derive(Debug, Clone, Default)]
pub struct BootView {
    loaded: bool,
    /// The first NIC of each machine.
    machines: BTreeMap<(String, String), Arc<BootTarget>>,
    by_machine_id: HashMap<String, Arc<BootTarget>>,
    by_boot_id: HashMap<String, Arc<BootTarget>>,
    by_mac: HashMap<Mac, Entry>,
    by_address: HashMap<Ipv4Addr, Entry>,
    networks: Vec<Ipv4Net>,
}

#[derive(Debug, Clone)]
enum Entry {
    One(Arc<BootTarget>),
    Many(Vec<String>),
}

/// What an address stands for.
#[derive(Debug, Clone, Copy)]
pub enum Lookup<'a> {
    /// The objects have not been read yet: nobody knows.
    NotLoaded,
    /// No Hardware names it.
    Unknown,
    /// Several Hardware objects name it; here are they.
    Ambiguous(&'a [String]),
    /// This one.
    Known(&'a Arc<BootTarget>),
}

impl<'a> Lookup<'a> {
    /// The machine, if it is exactly one.
    #[must_use]
    pub fn known(self) -> Option<&'a Arc<BootTarget>> {
        match self {
            Self::Known(target) => Some(target),
            Self::NotLoaded | Self::Unknown | Self::Ambiguous(_) => None,
        }
    }
}

impl BootView {
    /// A view of these NICs. Two machines with one address make that address ambiguous, so neither is served by
    /// chance; two NICs of one machine with one address are that machine.
    #[must_use]
    pub fn new(targets: impl IntoIterator<Item = Arc<BootTarget>>) -> Self {
        let mut view = Self {
            loaded: true,
            ..Self::default()
        };
        let mut networks = BTreeSet::new();
        for target in targets {
            let machine = &target.machine;
            let key = (machine.namespace.clone(), machine.name.clone());
            if !view.machines.contains_key(&key) {
                view.enter_machine(&target);
                view.machines.insert(key, Arc::clone(&target));
            }
            enter(&mut view.by_mac, target.mac, &target);
            if let Some(address) = target.address() {
                enter(&mut view.by_address, address, &target);
            }
            networks.extend(target.network().map(|network| network.trunc()));
        }
        view.networks = networks.into_iter().collect();
        view
    }

    fn enter_machine(&mut self, target: &Arc<BootTarget>) {
        if let Some(id) = &target.machine.machine_id {
            self.by_machine_id.insert(id.clone(), Arc::clone(target));
        }
        if let Some(session) = &target.machine.session {
            for id in session.superseded.iter().chain([&session.boot_id]) {
                self.by_boot_id.insert(id.clone(), Arc::clone(target));
            }
        }
    }

    /// Whether the objects have been read.
    #[must_use]
    pub const fn loaded(&self) -> bool {
        self.loaded
    }

    /// Number of machines with at least one NIC.
    #[must_use]
    pub fn len(&self) -> usize {
        self.machines.len()
    }

    /// Whether there is no machine.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.machines.is_empty()
    }

    /// Who has this MAC address.
    #[must_use]
    pub fn by_mac(&self, mac: Mac) -> Lookup<'_> {
        self.found(self.by_mac.get(&mac))
    }

    /// The machine whose session has this boot id, or had it in an earlier boot of the attempt: its first NIC.
    #[must_use]
    pub fn by_boot_id(&self, boot_id: &str) -> Option<&Arc<BootTarget>> {
        self.by_boot_id.get(boot_id)
    }

    /// The machine that certificates name so: its first NIC.
    #[must_use]
    pub(crate) fn by_machine_id(&self, machine_id: &str) -> Option<&Arc<BootTarget>> {
        self.by_machine_id.get(machine_id)
    }

    /// Who has this address reserved; for callers that is [`Self::peer`].
    pub(crate) fn by_address(&self, address: Ipv4Addr) -> Lookup<'_> {
        self.found(self.by_address.get(&address))
    }

    /// The subnets that reservations are in.
    #[must_use]
    pub fn networks(&self) -> &[Ipv4Net] {
        &self.networks
    }

    /// The session of a machine.
    #[must_use]
    pub fn session(&self, namespace: &str, name: &str) -> Option<&Session> {
        self.machines
            .get(&(namespace.to_owned(), name.to_owned()))?
            .machine
            .session
            .as_ref()
    }

    fn found<'a>(&self, entry: Option<&'a Entry>) -> Lookup<'a> {
        match entry {
            Some(Entry::One(target)) => Lookup::Known(target),
            Some(Entry::Many(names)) => Lookup::Ambiguous(names),
            None if self.loaded => Lookup::Unknown,
            None => Lookup::NotLoaded,
        }
    }
}

fn enter<K: Eq + std::hash::Hash>(index: &mut HashMap<K, Entry>, key: K, target: &Arc<BootTarget>) {
    let name = |target: &BootTarget| format!("{}/{}", target.machine.namespace, target.machine.name);
    match index.get_mut(&key) {
        None => {
            index.insert(key, Entry::One(Arc::clone(target)));
        }
        Some(Entry::One(first)) if Arc::ptr_eq(&first.machine, &target.machine) => {}
        Some(entry) => {
            let mut names = match entry {
                Entry::One(first) => vec![name(first)],
                Entry::Many(names) => std::mem::take(names),
            };
            names.push(name(target));
            names.sort();
            names.dedup();
            *entry = Entry::Many(names);
        }
    }
}

#[cfg(test)]
mod tests {
    use resources::tinkerbell::{Dhcp, HardwareInterface, HardwareSpec, Ip};

    use super::*;
    use crate::target::MachineFacts;

    fn machine(name: &str, nics: &[(&str, &str)]) -> Vec<Arc<BootTarget>> {
        let interface = |(mac, address): &(&str, &str)| HardwareInterface {
            dhcp: Some(Dhcp {
                mac: Some(mac.parse().unwrap()),
                ip: Some(Ip {
                    address: Some((*address).into()),
                    ..Ip::default()
                }),
                ..Dhcp::default()
            }),
            ..HardwareInterface::default()
        };
        let hardware = HardwareSpec {
            interfaces: nics.iter().map(interface).collect(),
            ..HardwareSpec::default()
        };
        BootTarget::all_of(MachineFacts::new("eksa-system", name, hardware, None))
    }

    #[test]
    fn finds_by_mac_and_by_address() {
        let view = BootView::new(machine(
            "a",
            &[
                ("52:54:00:00:00:01", "10.0.0.1"),
                ("52:54:00:00:00:02", "10.0.0.2"),
            ],
        ));
        let target = view.by_mac("52-54-00-00-00-02".parse().unwrap()).known().unwrap();
        assert_eq!((target.name(), target.index), ("a", 1));
        assert_eq!(
            view.by_address(Ipv4Addr::new(10, 0, 0, 1)).known().unwrap().index,
            0
        );
        assert!(matches!(
            view.by_address(Ipv4Addr::new(10, 0, 0, 9)),
            Lookup::Unknown
        ));
        assert!(matches!(
            BootView::default().by_address(Ipv4Addr::LOCALHOST),
            Lookup::NotLoaded
        ));
    }

    #[test]
    fn finds_a_machine_by_the_boot_ids_of_its_attempt() {
        let session = Session {
            attempt: 1,
            boot: 2,
            boot_id: "second".into(),
            superseded: vec!["first".into()],
            phase: resources::gantry::SessionPhase::Armed,
            deadline: jiff::Timestamp::MAX,
        };
        let mut facts = (*machine("a", &[("52:54:00:00:00:01", "10.0.0.1")])[0].machine).clone();
        facts.session = Some(session);
        let view = BootView::new(BootTarget::all_of(facts));
        for id in ["first", "second"] {
            assert_eq!(view.by_boot_id(id).unwrap().name(), "a");
        }
        assert!(view.by_boot_id("third").is_none() && view.by_boot_id("").is_none());
    }

    #[test]
    fn two_machines_with_one_mac_are_nobody() {
        let both = machine("b", &[("52:54:00:00:00:01", "10.0.0.1")])
            .into_iter()
            .chain(machine("a", &[("52:54:00:00:00:01", "10.0.0.2")]));
        let view = BootView::new(both);
        let Lookup::Ambiguous(names) = view.by_mac("52:54:00:00:00:01".parse().unwrap()) else {
            panic!()
        };
        assert_eq!(names, ["eksa-system/a", "eksa-system/b"]);
        assert_eq!(
            view.by_address(Ipv4Addr::new(10, 0, 0, 2))
                .known()
                .unwrap()
                .name(),
            "a"
        );
    }
}
