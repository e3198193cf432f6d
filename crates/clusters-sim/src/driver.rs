//! What the driver of bare metal knows: its servers and who has them, and what is to go wrong with them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::net::Ipv4Addr;

use crate::failing::{Failing, Leaves};

/// Servers and their claims, and what goes wrong with them.
#[derive(Debug, Default)]
pub struct Driver {
    /// Servers by name.
    servers: HashMap<String, Server>,
    /// Servers that nobody has, by type.
    free: HashMap<String, BTreeSet<String>>,
    /// Machine that has a server.
    claims: BTreeMap<String, String>,
    /// Server of a machine.
    hosts: HashMap<String, String>,
    /// Servers on which every installation fails, with the reason.
    pub broken: BTreeMap<String, String>,
    /// Why no image can be had.
    pub bad_image: Option<String>,
    /// Whether it says nothing more about hosts in ProviderClusters.
    pub mute: bool,
    /// Servers that can't be powered off.
    pub stuck: BTreeSet<String>,
    /// Machines that never become nodes.
    pub never_joins: BTreeSet<String>,
    /// A load balancer that the user brings leads to no machine yet.
    pub leads_nowhere: bool,
    /// Servers on which first boots fail.
    pub failing: BTreeMap<String, Failing>,
    /// Why the next repairs on these servers fail.
    pub bad_repairs: BTreeMap<String, VecDeque<String>>,
    /// Why nodes on these servers are not adopted.
    pub strangers: BTreeMap<String, String>,
    /// Number of the repair that is under way on a server.
    repairs: BTreeMap<String, u32>,
    history: Vec<String>,
    used: HashSet<String>,
    /// How many servers the machines of a pool have, by the beginning of their names.
    of_pools: HashMap<String, u32>,
    /// User data of virtual machines that have not started yet, by machine.
    pub(crate) userdata: HashMap<String, String>,
    /// How many virtual machines were made.
    made: u32,
}

/// How the names of hosts begin that were made for their machines.
const VIRTUAL: &str = "vm/";
/// Where their addresses begin.
const VIRTUAL_NETWORK: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 0);

#[derive(Debug)]
struct Server {
    kind: String,
    address: Ipv4Addr,
}

impl Driver {
    /// Adds a server of a type with its address.
    pub(crate) fn add(&mut self, host: &str, kind: &str, address: Ipv4Addr) {
        let kind = kind.to_owned();
        let free = self.free.entry(kind.clone()).or_default();
        free.insert(host.to_owned());
        self.servers.insert(host.to_owned(), Server { kind, address });
    }

    /// How many servers were ever added.
    pub(crate) fn servers(&self) -> usize {
        self.servers.len()
    }

    /// Nobody gets this server any more.
    pub fn withdraw(&mut self, host: &str) {
        let kind = &self.servers[host].kind;
        self.free.get_mut(kind).unwrap().remove(host);
    }

    /// Claims a free server of a type for a machine: one that was never claimed before one that was.
    pub fn claim(&mut self, machine: &str, kind: &str) -> Option<String> {
        if let Some(host) = self.hosts.get(machine) {
            return Some(host.clone());
        }
        let free = self.free.get_mut(kind)?;
        let mut unused = free.iter().filter(|host| !self.used.contains(*host));
        let host = unused.next().or_else(|| free.first())?.clone();
        free.remove(&host);
        self.claims.insert(host.clone(), machine.to_owned());
        self.hosts.insert(machine.to_owned(), host.clone());
        self.history.push(host.clone());
        self.used.insert(host.clone());
        *self.of_pools.entry(pool_of(machine)).or_default() += 1;
        Some(host)
    }

    /// Makes a virtual machine with its data for a machine.
    pub(crate) fn make_virtual(&mut self, machine: &str, userdata: String) -> String {
        let host = format!("{VIRTUAL}{machine}");
        self.made += 1;
        let address = Ipv4Addr::from_bits(VIRTUAL_NETWORK.to_bits() + self.made);
        let kind = VIRTUAL.to_owned();
        assert!(
            self.servers
                .insert(host.clone(), Server { kind, address })
                .is_none(),
            "{machine} is made twice"
        );
        self.userdata.insert(machine.to_owned(), userdata);
        self.claims.insert(host.clone(), machine.to_owned());
        self.hosts.insert(machine.to_owned(), host.clone());
        self.history.push(host.clone());
        *self.of_pools.entry(pool_of(machine)).or_default() += 1;
        host
    }

    /// Gives the server of a machine back. A virtual one is no more.
    pub fn give_back(&mut self, machine: &str) {
        self.userdata.remove(machine);
        if let Some(host) = self.hosts.remove(machine) {
            self.claims.remove(&host);
            *self.of_pools.get_mut(&pool_of(machine)).unwrap() -= 1;
            if host.starts_with(VIRTUAL) {
                self.servers.remove(&host);
                return;
            }
            let kind = &self.servers[&host].kind;
            self.free.get_mut(kind).unwrap().insert(host);
        }
    }

    /// A machine takes the server on which its node runs already. Tells whether nobody else has it.
    pub(crate) fn adopt(&mut self, machine: &str, host: &str) -> bool {
        let owner = self.claims.entry(host.to_owned());
        let is_its = owner.or_insert_with(|| machine.to_owned()) == machine;
        if is_its && self.hosts.insert(machine.to_owned(), host.to_owned()).is_none() {
            *self.of_pools.entry(pool_of(machine)).or_default() += 1;
        }
        is_its
    }

    /// Nobody knows any more that a machine has its server, as after a restore of older data. The server is not free.
    pub fn forget(&mut self, machine: &str) -> Option<String> {
        let host = self.hosts.remove(machine)?;
        self.claims.remove(&host);
        *self.of_pools.get_mut(&pool_of(machine)).unwrap() -= 1;
        Some(host)
    }

    /// How many servers of a type are free. One on which an installation has failed is passed over.
    #[must_use]
    pub fn free(&self, kind: &str) -> u32 {
        let free = self.free.get(kind).into_iter().flatten();
        let cools = |host: &&String| self.broken.contains_key(*host) && self.used.contains(*host);
        u32::try_from(free.filter(|host| !cools(host)).count()).unwrap()
    }

    /// How many servers the machines of a pool have.
    #[must_use]
    pub fn used_by(&self, cluster: &str, pool: &str) -> u32 {
        let used = self.of_pools.get(&format!("{cluster}-{pool}"));
        used.copied().unwrap_or(0)
    }

    /// The server of a machine.
    #[must_use]
    pub fn host(&self, machine: &str) -> Option<&String> {
        self.hosts.get(machine)
    }

    /// Servers that machines have, with those machines.
    #[must_use]
    pub const fn claims(&self) -> &BTreeMap<String, String> {
        &self.claims
    }

    /// All servers that were ever claimed, in order.
    #[must_use]
    pub fn history(&self) -> &[String] {
        &self.history
    }

    /// Whether the next first boot on this server fails, and what it leaves.
    pub fn next_failure(&mut self, host: &str) -> Option<Leaves> {
        let failing = self.failing.get_mut(host)?;
        failing.times = failing.times.checked_sub(1)?;
        Some(failing.leaves)
    }

    /// Whether the repair of this number begins on a server only now.
    pub(crate) fn begins_repair(&mut self, host: &str, number: u32) -> bool {
        self.repairs.insert(host.to_owned(), number) != Some(number)
    }

    /// Address of a server.
    #[must_use]
    pub fn address(&self, host: &str) -> Ipv4Addr {
        self.servers[host].address
    }
}

/// MAC address of the server with this address.
pub(crate) fn mac_of(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("52:54:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

/// Cluster and pool in the name of a machine, which ends in a hyphen and five characters.
fn pool_of(machine: &str) -> String {
    machine
        .rsplit_once('-')
        .map_or(machine, |(pool, _)| pool)
        .to_owned()
}

/// Name of the node on a server; that of a virtual machine is named after its machine.
#[must_use]
pub fn node_of(host: &str) -> String {
    match host.strip_prefix(VIRTUAL) {
        Some(machine) => machine.to_owned(),
        None => format!("node-{host}"),
    }
}
