//! The index that boot services answer from: MAC and address to machine. Pure. A copy costs nothing, because copies
//! share what they have in common, and a machine's change touches only that machine's entries.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;
use resources::Mac;
use rpds::HashTrieMapSync;

use crate::claims::Claims;
use crate::target::{BootTarget, Key, Session, WIDEST};

/// All machines at one moment.
#[derive(Debug, Clone, Default)]
pub struct BootView {
    loaded: bool,
    /// The NICs of each machine that has any.
    machines: HashTrieMapSync<Key, Arc<[Arc<BootTarget>]>>,
    by_machine_id: Index<String>,
    by_boot_id: Index<String>,
    by_mac: Index<Mac>,
    by_address: Index<Ipv4Addr>,
    /// How many NICs name a subnet.
    networks: HashTrieMapSync<Ipv4Net, usize>,
}

type Index<K> = HashTrieMapSync<K, Claims>;

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
        let mut machines = BTreeMap::<Key, Vec<Arc<BootTarget>>>::new();
        for target in targets {
            machines.entry(target.key()).or_default().push(target);
        }
        let mut view = Self::default();
        view.set_loaded();
        for (key, targets) in machines {
            view.set_machine(&key, targets);
        }
        view
    }

    /// From now on, what is not in the view does not exist.
    pub(crate) const fn set_loaded(&mut self) {
        self.loaded = true;
    }

    /// Replaces the NICs of a machine, none of which removes it. Returns false if they are those that it has.
    pub(crate) fn set_machine(&mut self, key: &Key, targets: Vec<Arc<BootTarget>>) -> bool {
        let old = self.machines.get(key).cloned().unwrap_or_default();
        if *old == *targets {
            return false;
        }
        self.take_out(&old);
        self.put_in(&targets);
        if targets.is_empty() {
            self.machines.remove_mut(key);
        } else {
            self.machines.insert_mut(key.clone(), targets.into());
        }
        true
    }

    fn put_in(&mut self, targets: &[Arc<BootTarget>]) {
        if let Some(first) = targets.first() {
            for id in first.machine.machine_id.iter() {
                add(&mut self.by_machine_id, id.clone(), first);
            }
            for id in boot_ids(first) {
                add(&mut self.by_boot_id, id.clone(), first);
            }
        }
        for target in targets {
            add(&mut self.by_mac, target.mac, target);
            if let Some(address) = target.address() {
                add(&mut self.by_address, address, target);
            }
            if let Some(network) = target.network() {
                let network = network.trunc();
                let count = self.networks.get(&network).copied().unwrap_or_default();
                self.networks.insert_mut(network, count.saturating_add(1));
            }
        }
    }

    fn take_out(&mut self, targets: &[Arc<BootTarget>]) {
        if let Some(first) = targets.first() {
            for id in first.machine.machine_id.iter() {
                remove(&mut self.by_machine_id, id, first);
            }
            for id in boot_ids(first) {
                remove(&mut self.by_boot_id, id, first);
            }
        }
        for target in targets {
            remove(&mut self.by_mac, &target.mac, target);
            if let Some(address) = target.address() {
                remove(&mut self.by_address, &address, target);
            }
            if let Some(network) = target.network() {
                let network = network.trunc();
                match self.networks.get(&network).copied() {
                    Some(count) if count > 1 => self.networks.insert_mut(network, count.saturating_sub(1)),
                    _ => {
                        self.networks.remove_mut(&network);
                    }
                }
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
        self.machines.size()
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
        self.by_boot_id.get(boot_id)?.last()
    }

    /// The machine that certificates name so: its first NIC.
    #[must_use]
    pub fn by_machine_id(&self, machine_id: &str) -> Option<&Arc<BootTarget>> {
        self.by_machine_id.get(machine_id)?.last()
    }

    /// Who has this address reserved; for callers that is [`Self::peer`].
    pub(crate) fn by_address(&self, address: Ipv4Addr) -> Lookup<'_> {
        self.found(self.by_address.get(&address))
    }

    /// The subnets of reservations that contain this address, the widest first.
    pub fn networks_of(&self, address: Ipv4Addr) -> impl Iterator<Item = Ipv4Net> {
        let networks = (WIDEST..=32).filter_map(move |prefix| Ipv4Net::new(address, prefix).ok());
        networks
            .map(|network| network.trunc())
            .filter(|network| self.networks.contains_key(network))
    }

    /// The session of a machine.
    #[must_use]
    pub fn session(&self, namespace: &str, name: &str) -> Option<&Session> {
        let targets = self.machines.get(&(namespace.to_owned(), name.to_owned()))?;
        targets.first()?.machine.session.as_ref()
    }

    fn found<'a>(&self, claims: Option<&'a Claims>) -> Lookup<'a> {
        match claims {
            Some(claims) => claims.only().map_or_else(Lookup::Ambiguous, Lookup::Known),
            None if self.loaded => Lookup::Unknown,
            None => Lookup::NotLoaded,
        }
    }
}

fn boot_ids(target: &BootTarget) -> impl Iterator<Item = &String> {
    let session = target.machine.session.iter();
    session.flat_map(|session| session.superseded.iter().chain([&session.boot_id]))
}

fn add<K: Eq + std::hash::Hash>(index: &mut Index<K>, key: K, target: &Arc<BootTarget>) {
    let claims = match index.get(&key) {
        None => Claims::new(target),
        Some(claims) => claims.with(target),
    };
    index.insert_mut(key, claims);
}

fn remove<K: Eq + std::hash::Hash + Clone>(index: &mut Index<K>, key: &K, target: &Arc<BootTarget>) {
    let Some(claims) = index.get(key) else { return };
    match claims.without(target) {
        Some(claims) => index.insert_mut(key.clone(), claims),
        None => {
            index.remove_mut(key);
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

/// Random changes one after another, against a view that is made of the same machines at once.
#[cfg(test)]
mod changes {
    use proptest::prelude::*;
    use resources::gantry::SessionPhase;
    use resources::tinkerbell::{Dhcp, HardwareInterface, HardwareSpec, Ip};

    use super::*;
    use crate::target::MachineFacts;

    const HOSTS: u8 = 6;
    const MACHINES: u8 = 5;

    #[derive(Debug, Clone)]
    struct Machine {
        nics: Vec<(u8, Option<u8>, u8)>,
        id: Option<u8>,
        boots: Vec<u8>,
        leaving: bool,
    }

    fn machines() -> impl Strategy<Value = Machine> {
        let nic = (0..HOSTS, prop::option::of(0..HOSTS), 29..=31_u8);
        let fields = (
            prop::collection::vec(nic, 0..3),
            prop::option::of(0..HOSTS),
            prop::collection::vec(0..HOSTS, 0..3),
            any::<bool>(),
        );
        fields.prop_map(|(nics, id, boots, leaving)| Machine {
            nics,
            id,
            boots,
            leaving,
        })
    }

    fn address(host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, host)
    }

    fn mac(host: u8) -> Mac {
        Mac::new([2, 0, 0, 0, 0, host])
    }

    fn targets(key: &Key, machine: &Machine) -> Vec<Arc<BootTarget>> {
        let interface = |&(host, ip, prefix): &(u8, Option<u8>, u8)| HardwareInterface {
            dhcp: Some(Dhcp {
                mac: Some(mac(host)),
                ip: ip.map(|ip| Ip {
                    address: Some(address(ip).to_string()),
                    netmask: Some(Ipv4Net::new(address(ip), prefix).unwrap().netmask().to_string()),
                    ..Ip::default()
                }),
                ..Dhcp::default()
            }),
            ..HardwareInterface::default()
        };
        let hardware = HardwareSpec {
            interfaces: machine.nics.iter().map(interface).collect(),
            ..HardwareSpec::default()
        };
        let mut facts = MachineFacts::new(&key.0, &key.1, hardware, None);
        facts.machine_id = machine.id.map(|id| id.to_string());
        facts.leaving = machine.leaving;
        let mut boots = machine.boots.iter().map(u8::to_string);
        facts.session = boots.next().map(|boot_id| Session {
            attempt: 1,
            boot: 1,
            boot_id,
            superseded: boots.collect(),
            phase: SessionPhase::Armed,
            deadline: jiff::Timestamp::MAX,
        });
        BootTarget::all_of(facts)
    }

    /// Every question with every answer.
    fn answers(view: &BootView) -> Vec<String> {
        let mut all = vec![format!("{} {}", view.len(), view.is_empty())];
        for host in 0..=HOSTS {
            let id = host.to_string();
            all.push(format!("{:?}", view.by_mac(mac(host))));
            all.push(format!("{:?}", view.by_address(address(host))));
            all.push(format!("{:?}", view.by_boot_id(&id)));
            all.push(format!("{:?}", view.by_machine_id(&id)));
            all.push(format!(
                "{:?}",
                view.networks_of(address(host)).collect::<Vec<_>>()
            ));
            all.push(format!("{:?}", view.session("n", &id)));
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn end_in_the_view_that_is_made_at_once(
            changes in prop::collection::vec((0..MACHINES, prop::option::weighted(0.8, machines())), 1..24)
        ) {
            let mut view = BootView::new([]);
            let mut current = BTreeMap::new();
            for (name, machine) in changes {
                let key = ("n".to_owned(), name.to_string());
                let new = machine.map_or_else(Vec::new, |machine| targets(&key, &machine));
                let before = view.clone();
                let answered = answers(&before);
                let same = current.get(&key).map_or(new.is_empty(), |old| *old == new);
                current.insert(key.clone(), new.clone());
                prop_assert_eq!(view.set_machine(&key, new), !same);
                prop_assert_eq!(answers(&before), answered, "a copy does not change");
                let anew = BootView::new(current.values().flatten().cloned());
                prop_assert_eq!(answers(&view), answers(&anew));
            }
            for key in current.keys() {
                view.set_machine(key, Vec::new());
            }
            prop_assert!(view.networks.is_empty() && view.by_mac.is_empty() && view.by_address.is_empty());
            prop_assert!(view.by_machine_id.is_empty() && view.by_boot_id.is_empty() && view.is_empty());
        }
    }
}
