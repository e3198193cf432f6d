//! Networks of clusters: what the machines of one share.

use std::net::IpAddr;

use driver::v1::{DeleteGroupRequest, EnsureGroupRequest, GroupStatus, Owner, Reason};
use driver::{Fault, json};
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::daemon::{Daemon, Network};
use crate::marks::{self, CLUSTER_UID, INSTALLATION};
use crate::status::{accepted, settled};

/// Digits of the cluster's id in the name of its network.
const ID_DIGITS: usize = 8;

/// `EnsureGroupRequest.config`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// Without it the daemon chooses one, and machines in it have no static addresses.
    subnet: Option<IpNet>,
    gateway: Option<IpAddr>,
}

impl Config {
    fn read(request: &EnsureGroupRequest) -> Result<Self, Fault> {
        let config = request.config.as_ref().map(json::from_struct).unwrap_or_default();
        let config: Self = serde_json::from_value(Value::Object(config)).map_err(|error| {
            Fault::invalid("/config", format!("{error}; it may have `subnet` and `gateway`"))
        })?;
        match (config.subnet, config.gateway) {
            (None, Some(gateway)) => Err(Fault::invalid(
                "/config/gateway",
                format!("gateway {gateway} needs the subnet in which it is"),
            )),
            (Some(subnet), Some(gateway)) if !subnet.contains(&gateway) => Err(Fault::invalid(
                "/config/gateway",
                format!("gateway {gateway} is not in {subnet}"),
            )),
            _ => Ok(config),
        }
    }

    /// Whether a network is what this one asks for.
    fn fits(&self, network: &Network) -> bool {
        let mut pools = network.ipam.config.iter();
        self.subnet.is_none_or(|subnet| {
            pools.any(|pool| {
                let gateway = self.gateway.map(|gateway| gateway.to_string());
                pool.subnet.parse::<IpNet>().ok() == Some(subnet)
                    && gateway.is_none_or(|gateway| pool.gateway == gateway)
            })
        })
    }

    fn body(&self, name: &str, owner: &Owner) -> Value {
        let mut body = json!({
            "Name": name, "CheckDuplicate": true, "Driver": "bridge", "Labels": marks::of_group(owner),
        });
        if let Some(subnet) = self.subnet {
            let mut pool = json!({"Subnet": subnet.trunc().to_string()});
            if let Some(gateway) = self.gateway {
                pool["Gateway"] = gateway.to_string().into();
            }
            body["IPAM"] = json!({"Config": [pool]});
            body["EnableIPv6"] = matches!(subnet, IpNet::V6(_)).into();
        }
        body
    }
}

/// See `EnsureGroup`.
pub(crate) async fn ensure(daemon: &Daemon, request: &EnsureGroupRequest) -> Result<GroupStatus, Fault> {
    let owner = owner(request.owner.as_ref())?;
    let config = Config::read(request)?;
    let name = name(owner);
    let network = match of_cluster(daemon, owner).await? {
        Some(network) => network,
        None => {
            let made = daemon.create_network(&config.body(&name, owner)).await?;
            let is_new = made.map_err(|answer| {
                let mut fault = answer.fault(Reason::InvalidSpec);
                "/config/subnet".clone_into(&mut fault.detail.field);
                fault
            })?;
            match of_cluster(daemon, owner).await? {
                Some(network) => network,
                None if is_new => return Err(Fault::new(Reason::Busy, "the network came and went")),
                None => {
                    let text = format!("network {name} exists and does not bear the mark of this cluster");
                    return Err(Fault::new(Reason::Foreign, text).without_effect());
                }
            }
        }
    };
    if !config.fits(&network) {
        let text = format!("network {} exists with another subnet or gateway", network.name);
        return Err(Fault::new(Reason::ConflictSpec, text).without_effect());
    }
    let mut outputs = Map::new();
    outputs.insert("network".to_owned(), network.name.into());
    Ok(GroupStatus {
        outcome: Some(settled()),
        outputs: Some(json::to_struct(&outputs)),
        ..GroupStatus::default()
    })
}

/// See `DeleteGroup`.
pub(crate) async fn delete(daemon: &Daemon, request: &DeleteGroupRequest) -> Result<GroupStatus, Fault> {
    let owner = owner(request.owner.as_ref())?;
    let machines = daemon.labelled(&labels(owner)).await?;
    if let Some(machine) = machines.first() {
        let text = format!(
            "the cluster still has {} machines, as {}",
            machines.len(),
            machine.name()
        );
        return Err(Fault::new(Reason::InUse, text).without_effect());
    }
    let Some(network) = of_cluster(daemon, owner).await? else {
        return Ok(GroupStatus {
            outcome: Some(settled()),
            ..GroupStatus::default()
        });
    };
    if daemon.remove_network(&network.id).await? {
        // Whoever asks next learns whether it has gone.
        return Ok(GroupStatus {
            outcome: Some(accepted()),
            ..GroupStatus::default()
        });
    }
    let text = format!(
        "network {} has containers that are no machines: `docker network inspect {}` names them",
        network.name, network.name
    );
    Err(Fault::new(Reason::InUse, text).without_effect())
}

fn owner(owner: Option<&Owner>) -> Result<&Owner, Fault> {
    let owner = owner.ok_or_else(|| Fault::invalid("/owner", "the owner is missing"))?;
    if owner.cluster_uid.is_empty() {
        return Err(Fault::invalid("/owner/cluster_uid", "cluster_uid is empty"));
    }
    Ok(owner)
}

fn labels(owner: &Owner) -> [String; 2] {
    [
        format!("{INSTALLATION}={}", owner.installation_id),
        format!("{CLUSTER_UID}={}", owner.cluster_uid),
    ]
}

/// The network of a cluster. Of several, which two calls at once in two processes can make, all choose the same.
async fn of_cluster(daemon: &Daemon, owner: &Owner) -> Result<Option<Network>, Fault> {
    let networks = daemon.networks_labelled(&labels(owner)).await?;
    Ok(networks.into_iter().min_by(|one, other| one.id.cmp(&other.id)))
}

fn name(owner: &Owner) -> String {
    let id: String = owner.cluster_uid.chars().take(ID_DIGITS).collect();
    format!("gantry-{}-{id}", owner.cluster_name)
}

#[cfg(test)]
mod tests {
    use driver::json;
    use driver::v1::{EnsureGroupRequest, Owner};
    use serde_json::{Value, json};

    use super::Config;
    use crate::daemon::Network;

    fn read(config: Value) -> Result<Config, driver::Fault> {
        let Value::Object(config) = config else {
            panic!("a config is an object");
        };
        Config::read(&EnsureGroupRequest {
            config: Some(json::to_struct(&config)),
            ..EnsureGroupRequest::default()
        })
    }

    #[test]
    fn a_gateway_lies_in_its_subnet() {
        assert!(read(json!({})).is_ok());
        assert!(read(json!({"subnet": "172.30.0.0/24", "gateway": "172.30.0.9"})).is_ok());
        for (config, field) in [
            (json!({"gateway": "172.30.0.1"}), "/config/gateway"),
            (
                json!({"subnet": "172.30.0.0/24", "gateway": "172.31.0.1"}),
                "/config/gateway",
            ),
            (json!({"subnet": "172.30.0.0"}), "/config"),
            (json!({"subnets": []}), "/config"),
        ] {
            assert_eq!(read(config).unwrap_err().detail.field, field);
        }
    }

    #[test]
    fn a_network_with_another_subnet_is_another_one() {
        let network: Network = serde_json::from_value(json!({
            "Name": "n", "Id": "1", "IPAM": {"Config": [{"Subnet": "172.30.0.0/24", "Gateway": "172.30.0.1"}]},
        }))
        .unwrap();
        for (config, wanted) in [
            (json!({}), true),
            (json!({"subnet": "172.30.0.0/24"}), true),
            (json!({"subnet": "172.30.0.0/24", "gateway": "172.30.0.2"}), false),
            (json!({"subnet": "172.31.0.0/24"}), false),
        ] {
            assert_eq!(read(config.clone()).unwrap().fits(&network), wanted, "{config}");
        }
        let body = read(json!({"subnet": "172.30.0.0/24"}))
            .unwrap()
            .body("n", &Owner::default());
        assert_eq!(body["IPAM"]["Config"][0]["Subnet"], "172.30.0.0/24");
    }
}
