//! The hosts of a site, found by what the rules ask for: addresses, MAC addresses, gateways, name servers, labels. With many
//! machines a rule must not look at each of them for each new cluster.
//!
//! Invariant: every answer is in the order of the objects that it was made from, so that the first of several is always the
//! same.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use kube::ResourceExt;
use resources::Mac;
use resources::bmc;
use resources::gantry::{LabelOperator, SelectorTerm};
use resources::tinkerbell::{Dhcp, Hardware};

/// Place of a machine among all.
type Place = usize;

/// Hardware and BMCs of a site.
#[derive(Debug, Default)]
pub struct Hosts {
    machines: Vec<Machine>,
    addresses: BTreeMap<Ipv4Addr, Vec<Place>>,
    /// The first machine of each.
    macs: BTreeMap<Mac, Place>,
    gateways: BTreeMap<Ipv4Addr, Place>,
    name_servers: BTreeMap<Ipv4Addr, Place>,
    labels: BTreeMap<String, BTreeMap<String, Vec<Place>>>,
    bmcs: BTreeMap<Ipv4Addr, Vec<String>>,
}

/// A site without hosts.
pub(super) static NONE: Hosts = Hosts {
    machines: Vec::new(),
    addresses: BTreeMap::new(),
    macs: BTreeMap::new(),
    gateways: BTreeMap::new(),
    name_servers: BTreeMap::new(),
    labels: BTreeMap::new(),
    bmcs: BTreeMap::new(),
};

#[derive(Debug)]
struct Machine {
    name: String,
    /// Network of its first interface.
    network: Option<Ipv4Net>,
}

impl Hosts {
    /// Of all Hardware, that of clusters included, and all BMCs.
    #[must_use]
    pub fn new<'a>(
        hardware: impl IntoIterator<Item = &'a Hardware>,
        bmcs: impl IntoIterator<Item = &'a bmc::Machine>,
    ) -> Hosts {
        let mut hosts = Hosts::default();
        for hardware in hardware {
            hosts.add(hardware);
        }
        for bmc in bmcs {
            if let Some(address) = read(&bmc.spec.connection.host) {
                hosts.bmcs.entry(address).or_default().push(bmc.name_any());
            }
        }
        hosts
    }

    fn add(&mut self, hardware: &Hardware) {
        let place = self.machines.len();
        for dhcp in networks_of(hardware) {
            let ip = dhcp.ip.as_ref();
            if let Some(address) = ip.and_then(|ip| read(ip.address.as_deref()?)) {
                let places = self.addresses.entry(address).or_default();
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
            if let Some(gateway) = ip.and_then(|ip| read(ip.gateway.as_deref()?)) {
                self.gateways.entry(gateway).or_insert(place);
            }
            for server in dhcp.name_servers.iter().filter_map(|server| read(server)) {
                self.name_servers.entry(server).or_insert(place);
            }
            if let Some(mac) = dhcp.mac {
                self.macs.entry(mac).or_insert(place);
            }
        }
        for (key, value) in hardware.labels() {
            if !self.labels.contains_key(key) {
                self.labels.insert(key.clone(), BTreeMap::new());
            }
            let Some(values) = self.labels.get_mut(key) else {
                continue;
            };
            match values.get_mut(value) {
                Some(places) => places.push(place),
                None => drop(values.insert(value.clone(), vec![place])),
            }
        }
        self.machines.push(Machine {
            name: hardware.name_any(),
            network: network(hardware),
        });
    }

    fn name(&self, place: Place) -> &str {
        self.machines.get(place).map_or("", |machine| &machine.name)
    }

    /// Machines that have this address.
    pub(super) fn machines_at(&self, address: Ipv4Addr) -> impl Iterator<Item = &str> {
        let places = self.addresses.get(&address);
        places.into_iter().flatten().map(|place| self.name(*place))
    }

    /// BMCs that have this address.
    pub(super) fn bmcs_at(&self, address: Ipv4Addr) -> impl Iterator<Item = &String> {
        self.bmcs.get(&address).into_iter().flatten()
    }

    /// The machine that has this MAC address.
    pub(super) fn machine_of(&self, mac: Mac) -> Option<&str> {
        self.macs.get(&mac).map(|place| self.name(*place))
    }

    /// A machine that uses this address as its gateway.
    pub(super) fn behind_gateway(&self, address: Ipv4Addr) -> Option<&str> {
        self.gateways.get(&address).map(|place| self.name(*place))
    }

    /// A machine that uses this address as a name server.
    pub(super) fn asks_names_of(&self, address: Ipv4Addr) -> Option<&str> {
        self.name_servers.get(&address).map(|place| self.name(*place))
    }

    /// Machines that one of these terms selects, with their networks; without those whose network is not known.
    pub(super) fn selected(&self, terms: &[SelectorTerm]) -> Vec<(&str, Ipv4Net)> {
        let places: BTreeSet<Place> = terms.iter().flat_map(|term| self.places(term)).collect();
        let machines = places.iter().filter_map(|place| self.machines.get(*place));
        machines
            .filter_map(|machine| Some((machine.name.as_str(), machine.network?)))
            .collect()
    }

    fn places(&self, term: &SelectorTerm) -> Vec<Place> {
        let mut places = self.labelled(term);
        for expression in &term.match_expressions {
            let values = self.labels.get(&expression.key).into_iter().flatten();
            let any = matches!(
                expression.operator,
                LabelOperator::Exists | LabelOperator::DoesNotExist
            );
            let is_named = |value: &String| any || expression.values.contains(value);
            let named: BTreeSet<Place> = values
                .filter(|(value, _)| is_named(value))
                .flat_map(|(_, places)| places.iter().copied())
                .collect();
            let keeps = matches!(expression.operator, LabelOperator::In | LabelOperator::Exists);
            places.retain(|place| named.contains(place) == keeps);
        }
        places
    }

    /// Machines with all labels of a term.
    fn labelled(&self, term: &SelectorTerm) -> Vec<Place> {
        let having = |(key, value): (&String, &String)| {
            let places = self.labels.get(key).and_then(|values| values.get(value));
            places.map_or(&[][..], Vec::as_slice)
        };
        let mut labels: Vec<&[Place]> = term.match_labels.iter().map(having).collect();
        labels.sort_unstable_by_key(|places| places.len());
        let Some((fewest, others)) = labels.split_first() else {
            return (0..self.machines.len()).collect();
        };
        let in_others = |place: &&Place| others.iter().all(|places| places.binary_search(place).is_ok());
        fewest.iter().filter(in_others).copied().collect()
    }
}

fn read(text: &str) -> Option<Ipv4Addr> {
    text.trim().parse().ok()
}

fn networks_of(hardware: &Hardware) -> impl Iterator<Item = &Dhcp> {
    hardware
        .spec
        .interfaces
        .iter()
        .filter_map(|nic| nic.dhcp.as_ref())
}

fn network(hardware: &Hardware) -> Option<Ipv4Net> {
    let ip = hardware.spec.interfaces.first()?.dhcp.as_ref()?.ip.as_ref()?;
    let (address, mask) = (read(ip.address.as_deref()?)?, read(ip.netmask.as_deref()?)?);
    Some(Ipv4Net::with_netmask(address, mask).ok()?.trunc())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn machine(name: &str, labels: serde_json::Value) -> Hardware {
        let last = name.trim_start_matches('m');
        serde_json::from_value(json!({
            "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware",
            "metadata": { "name": name, "labels": labels },
            "spec": { "interfaces": [{ "dhcp": { "ip": { "address": format!("192.0.2.{last}"), "netmask": "255.255.255.0" } } }] },
        }))
        .unwrap()
    }

    #[test]
    fn terms_select_as_they_do_of_each_machine() {
        let hardware = [
            machine("m1", json!({ "type": "cp", "rack": "7" })),
            machine("m2", json!({ "type": "worker", "rack": "7" })),
            machine("m3", json!({ "type": "worker" })),
            machine("m4", json!({})),
        ];
        let hosts = Hosts::new(&hardware, []);
        let term = |labels: serde_json::Value| -> SelectorTerm {
            serde_json::from_value(json!({ "matchLabels": labels })).unwrap()
        };
        let about = |key: &str, operator: &str, values: &[&str]| -> SelectorTerm {
            let expression = json!({ "key": key, "operator": operator, "values": values });
            serde_json::from_value(json!({ "matchExpressions": [expression] })).unwrap()
        };
        for terms in [
            vec![],
            vec![about("type", "In", &["cp", "worker"])],
            vec![about("type", "In", &[])],
            vec![about("type", "NotIn", &["cp"])],
            vec![about("rack", "Exists", &[])],
            vec![about("rack", "DoesNotExist", &[]), about("other", "Exists", &[])],
            vec![SelectorTerm {
                match_expressions: about("rack", "DoesNotExist", &[]).match_expressions,
                ..term(json!({ "type": "worker" }))
            }],
            vec![term(json!({}))],
            vec![term(json!({ "type": "worker" }))],
            vec![term(json!({ "type": "worker", "rack": "7" }))],
            vec![term(json!({ "rack": "7" })), term(json!({ "type": "worker" }))],
            vec![
                term(json!({ "type": "worker", "rack": "8" })),
                term(json!({ "other": "" })),
            ],
        ] {
            let one_by_one = hardware
                .iter()
                .filter(|hardware| terms.iter().any(|term| term.selects(hardware.labels())));
            let expected: Vec<String> = one_by_one.map(ResourceExt::name_any).collect();
            let selected = hosts.selected(&terms);
            let names: Vec<&str> = selected.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, expected, "{terms:?}");
        }
    }
}
