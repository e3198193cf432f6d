//! What of the daemon's answers is used. Fields that are null are as fields that are absent.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::marks::Labels;

fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// `GET /version`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Version {
    /// Of the daemon.
    pub(crate) version: String,
    /// Newest of the API.
    pub(crate) api_version: String,
    /// Oldest of the API.
    #[serde(rename = "MinAPIVersion", default)]
    pub(crate) min_api_version: String,
    /// Of the machines.
    #[serde(default)]
    pub(crate) os: String,
}

/// `GET /info`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Info {
    #[serde(rename = "NCPU")]
    pub(crate) cpus: u32,
    /// In bytes.
    pub(crate) mem_total: u64,
    /// "1" or "2".
    #[serde(default)]
    pub(crate) cgroup_version: String,
}

/// An entry of `GET /containers/json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Container {
    pub(crate) id: String,
    /// Each with a slash in front. One that is being removed may have none.
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) names: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) labels: Labels,
    pub(crate) state: State,
    /// For people: "Exited (137) 3 seconds ago".
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) status: String,
    /// In seconds of the epoch.
    #[serde(default)]
    pub(crate) created: i64,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) network_settings: NetworkSettings,
}

impl Container {
    /// Its name without the slash.
    pub(crate) fn name(&self) -> &str {
        let own = self.names.iter().filter_map(|name| name.strip_prefix('/'));
        // A name with another slash is an alias that a link has given.
        own.into_iter()
            .find(|name| !name.contains('/'))
            .unwrap_or_default()
    }
}

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Never started.
    Created,
    Running,
    Paused,
    /// It has ended, and the daemon starts it again.
    Restarting,
    Removing,
    Exited,
    /// Its removal has failed half-way.
    Dead,
    /// Of a newer daemon.
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NetworkSettings {
    /// By name of the network.
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) networks: BTreeMap<String, Endpoint>,
}

/// A container in a network; empty texts where it does not run.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Endpoint {
    #[serde(rename = "IPAddress", default, deserialize_with = "or_default")]
    pub(crate) ipv4: String,
    #[serde(rename = "GlobalIPv6Address", default, deserialize_with = "or_default")]
    pub(crate) ipv6: String,
    #[serde(rename = "MacAddress", default, deserialize_with = "or_default")]
    pub(crate) mac: String,
}

/// An entry of `GET /networks`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Network {
    pub(crate) name: String,
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) driver: String,
    #[serde(rename = "IPAM", default, deserialize_with = "or_default")]
    pub(crate) ipam: Ipam,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Ipam {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) config: Vec<Pool>,
}

/// Addresses of a network.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Pool {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) subnet: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) gateway: String,
}

/// `GET /images/NAME/json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Image {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) config: ImageConfig,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ImageConfig {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) labels: Labels,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Container, State};

    #[test]
    fn null_is_as_absent_and_a_new_state_is_no_error() {
        let container: Container = serde_json::from_value(json!({
            "Id": "1f", "Names": null, "Labels": null, "State": "hibernating", "Status": null, "NetworkSettings": null,
        }))
        .unwrap();
        assert_eq!(container.state, State::Unknown);
        assert_eq!(container.name(), "");
        assert!(container.network_settings.networks.is_empty());
    }

    #[test]
    fn the_name_is_the_one_that_no_link_has_given() {
        let container: Container = serde_json::from_value(json!({
            "Id": "1f", "Names": ["/other/alias", "/prod-x"], "State": "running",
        }))
        .unwrap();
        assert_eq!(container.name(), "prod-x");
    }
}
