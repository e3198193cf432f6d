//! What a container is to be so that it is the machine of a spec.

use std::net::IpAddr;

use driver::v1::{Nic, Owner, Reason, Spec};
use driver::{Fault, json};
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::daemon::{ApiVersion, Network};
use crate::marks;
use crate::scope::{Privileges, ScopeConfig};

/// What Docker grants at least.
const LEAST_MEMORY_MIB: u64 = 6;
/// From here on a MAC is one of the endpoint, before it was one of the container.
const MAC_OF_ENDPOINT: ApiVersion = ApiVersion(1, 44);

/// `Spec.provider`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Settings {
    command: Vec<String>,
    stop_signal: String,
    binds: Vec<String>,
}

/// A spec that containers can be.
#[derive(Debug)]
pub(crate) struct Machine<'a> {
    spec: &'a Spec,
    settings: Settings,
}

impl<'a> Machine<'a> {
    /// Refuses what a container does not have. `prefix` is the spec's place in the request.
    pub(crate) fn read(spec: &'a Spec, prefix: &str) -> Result<Self, Fault> {
        reference(&spec.image_ref, &format!("{prefix}/image_ref"))?;
        if spec.root_disk_gib != 0 {
            let text = "a container has no disk of a size of its own: it shares the daemon's; give 0";
            return Err(Fault::invalid(format!("{prefix}/root_disk_gib"), text));
        }
        if spec.memory_mib != 0 && spec.memory_mib < LEAST_MEMORY_MIB {
            let text = format!("a container gets {LEAST_MEMORY_MIB} MiB at least, or 0 for no limit");
            return Err(Fault::invalid(format!("{prefix}/memory_mib"), text));
        }
        let settings = spec.provider.as_ref().map(json::from_struct).unwrap_or_default();
        let settings = serde_json::from_value(Value::Object(settings))
            .map_err(|error| Fault::invalid(format!("{prefix}/provider"), error.to_string()))?;
        Ok(Self { spec, settings })
    }

    /// Name of its network, and the field that has it.
    pub(crate) fn network<'b>(&'b self, scope: &'b ScopeConfig) -> (&'b str, &'static str) {
        match self.spec.nics.first() {
            Some(nic) if !nic.network.is_empty() => (&nic.network, "/spec/nics/0/network"),
            _ => (&scope.network, "/scope/config/network"),
        }
    }

    /// The body of the request that makes it.
    pub(crate) fn body(
        &self,
        (owner, spec_hash): (&Owner, &str),
        scope: &ScopeConfig,
        network: &Network,
        api: ApiVersion,
    ) -> Result<Value, Fault> {
        let mut host = json!({
            "Binds": self.settings.binds,
            "CgroupnsMode": "private",
            "Memory": self.spec.memory_mib.saturating_mul(1 << 20),
            "NanoCpus": u64::from(self.spec.vcpus).saturating_mul(1_000_000_000),
            "NetworkMode": network.name,
            // A machine comes back when its host does, and when its system reboots.
            "RestartPolicy": {"Name": "unless-stopped"},
            "Tmpfs": {"/run": "", "/tmp": ""},
        });
        match scope.privileges {
            Privileges::Privileged => host["Privileged"] = true.into(),
            Privileges::Capabilities => {
                host["CapAdd"] = json!(["ALL"]);
                host["CapDrop"] = json!(scope.drop_capabilities);
                host["SecurityOpt"] = json!(["seccomp=unconfined", "apparmor=unconfined"]);
            }
            Privileges::None => {}
        }
        let mut body = json!({
            "Hostname": owner.machine_name,
            "Image": self.spec.image_ref,
            // systemd asks for it.
            "Env": ["container=docker"],
            "Labels": marks::of_machine(owner, spec_hash, &self.spec.labels),
            // A file system that layers can be put on: those of the machine's own containers.
            "Volumes": {"/var": {}},
        });
        if !self.settings.stop_signal.is_empty() {
            body["StopSignal"] = self.settings.stop_signal.clone().into();
        }
        if !self.settings.command.is_empty() {
            body["Entrypoint"] = json!(self.settings.command);
        }
        let mut endpoint = Map::new();
        if let Some(nic) = self.spec.nics.first() {
            endpoint = addresses(nic, network)?;
            host["Dns"] = json!(nic.dns);
            if !nic.mac.is_empty() {
                if api >= MAC_OF_ENDPOINT {
                    endpoint.insert("MacAddress".to_owned(), nic.mac.clone().into());
                } else {
                    body["MacAddress"] = nic.mac.clone().into();
                }
            }
        }
        body["HostConfig"] = host;
        body["NetworkingConfig"] = json!({"EndpointsConfig": {&network.name: endpoint}});
        Ok(body)
    }
}

/// The endpoint with the addresses of a NIC. Each lies in a subnet of the network.
fn addresses(nic: &Nic, network: &Network) -> Result<Map<String, Value>, Fault> {
    let field = |index: usize| format!("/spec/nics/0/addresses/{index}");
    let mut fixed = Map::new();
    for (index, text) in nic.addresses.iter().enumerate() {
        let refuse = |why: String| Err(Fault::invalid(field(index), why));
        let Ok(address) = text.parse::<IpNet>() else {
            return refuse(format!(
                "{text:?} is no address in CIDR notation, as 172.30.0.5/24"
            ));
        };
        let address = address.addr();
        let inside = subnets(network).any(|subnet| subnet.contains(&address));
        if !inside {
            let subnets: Vec<String> = subnets(network).map(|subnet| subnet.to_string()).collect();
            let subnets = subnets.join(", ");
            return refuse(format!(
                "{address} is not in network {}, which has {subnets}",
                network.name
            ));
        }
        let kind = match address {
            IpAddr::V4(_) => "IPv4Address",
            IpAddr::V6(_) => "IPv6Address",
        };
        if fixed
            .insert(kind.to_owned(), address.to_string().into())
            .is_some()
        {
            return refuse(format!("a container has one {kind} in a network"));
        }
    }
    let gateways = || network.ipam.config.iter().map(|pool| pool.gateway.as_str());
    if !nic.gateway.is_empty() && !gateways().any(|gateway| gateway == nic.gateway) {
        let text = format!(
            "the gateway of a machine is that of its network {}, not {}",
            network.name, nic.gateway
        );
        return Err(Fault::invalid("/spec/nics/0/gateway", text));
    }
    let mut endpoint = Map::new();
    if !fixed.is_empty() {
        endpoint.insert("IPAMConfig".to_owned(), fixed.into());
    }
    Ok(endpoint)
}

fn subnets(network: &Network) -> impl Iterator<Item = IpNet> {
    network
        .ipam
        .config
        .iter()
        .filter_map(|pool| pool.subnet.parse().ok())
}

/// A reference of an image that is safe in a path, too.
pub(crate) fn reference(text: &str, field: &str) -> Result<(), Fault> {
    let letters = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte));
    let begins = text.starts_with(|first: char| first.is_ascii_alphanumeric());
    if begins && letters && !text.contains("..") && !text.contains("//") {
        return Ok(());
    }
    let message = format!("{text:?} is no reference of an image, as registry.example.com/node:v1");
    Err(Fault::invalid(field, message))
}

/// A network in which machines can't be.
fn unusable(network: &Network) -> Option<String> {
    let has_addresses = !matches!(network.driver.as_str(), "host" | "null");
    (!has_addresses).then(|| {
        format!(
            "machines in network {} would have no address of their own",
            network.name
        )
    })
}

/// The only network of a name.
pub(crate) fn only(mut networks: Vec<Network>, name: &str) -> Result<Network, (Reason, String)> {
    match (networks.len(), networks.pop()) {
        (1, Some(network)) => match unusable(&network) {
            None => Ok(network),
            Some(text) => Err((Reason::InvalidSpec, text)),
        },
        (_, None) => Err((Reason::NetworkMissing, format!("there is no network {name}"))),
        (count, Some(_)) => Err((
            Reason::InvalidSpec,
            format!("{count} networks have the name {name}: remove all but one, by their ids"),
        )),
    }
}

#[cfg(test)]
mod tests;
