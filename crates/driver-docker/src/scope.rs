//! A scope: one daemon, and how its machines are made.

use std::path::PathBuf;

use driver::v1::Scope;
use driver::{Fault, json};
use serde::Deserialize;
use serde_json::Value;

/// Where a daemon listens when nothing else is said.
pub(crate) const HOST: &str = "unix:///var/run/docker.sock";
/// The network that every daemon has.
pub(crate) const NETWORK: &str = "bridge";
/// What `host` begins with.
const SCHEME: &str = "unix://";

/// `Scope.config`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct ScopeConfig {
    host: String,
    /// Network of the machines that name none.
    pub(crate) network: String,
    pub(crate) privileges: Privileges,
    /// Of [`Privileges::Capabilities`]: those that the daemon's host can't give.
    pub(crate) drop_capabilities: Vec<String>,
    pub(crate) image_policy: ImagePolicy,
}

/// What the systems of machines may do on the daemon's host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Privileges {
    /// Everything, devices included.
    #[default]
    Privileged,
    /// Every capability but those that are dropped, without seccomp and AppArmor.
    Capabilities,
    /// What Docker gives by itself: too little for a system that starts containers.
    None,
}

/// What happens when an image is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ImagePolicy {
    /// An error.
    #[default]
    Present,
    /// It is pulled.
    Pull,
}

impl Default for ScopeConfig {
    fn default() -> Self {
        Self {
            host: HOST.to_owned(),
            network: NETWORK.to_owned(),
            privileges: Privileges::default(),
            drop_capabilities: Vec::new(),
            image_policy: ImagePolicy::default(),
        }
    }
}

impl ScopeConfig {
    /// What a request says, with the schema's defaults.
    pub(crate) fn read(scope: Option<&Scope>) -> Result<Self, Fault> {
        let config = scope.and_then(|scope| scope.config.as_ref());
        let config = Value::Object(config.map(json::from_struct).unwrap_or_default());
        let config: Self = serde_json::from_value(config)
            .map_err(|error| Fault::invalid("/scope/config", error.to_string()))?;
        if !config.host.starts_with(SCHEME) {
            let text = format!("{:?} is no unix socket: give {HOST}, or another one", config.host);
            return Err(Fault::invalid("/scope/config/host", text));
        }
        if !config.drop_capabilities.is_empty() && config.privileges != Privileges::Capabilities {
            let text = "capabilities are dropped with privileges: capabilities only";
            return Err(Fault::invalid("/scope/config/dropCapabilities", text));
        }
        Ok(config)
    }

    /// Path of the daemon's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.host.strip_prefix(SCHEME).unwrap_or(&self.host).into()
    }
}

#[cfg(test)]
mod tests {
    use driver::json;
    use driver::v1::Scope;
    use serde_json::{Value, json};

    use super::{ImagePolicy, NETWORK, Privileges, ScopeConfig};
    use crate::schemas;

    fn read(config: Value) -> Result<ScopeConfig, driver::Fault> {
        let Value::Object(config) = config else {
            panic!("a config is an object");
        };
        ScopeConfig::read(Some(&Scope {
            config: Some(json::to_struct(&config)),
            ..Scope::default()
        }))
    }

    #[test]
    fn defaults_are_those_of_the_schema() {
        let schema = schemas::scope();
        let properties = schema["properties"].as_object().unwrap();
        let defaults = properties
            .iter()
            .map(|(name, property)| (name.clone(), property["default"].clone()))
            .collect();
        assert_eq!(read(Value::Object(defaults)).unwrap(), ScopeConfig::default());
        assert_eq!(read(json!({})).unwrap(), ScopeConfig::default());
    }

    #[test]
    fn what_is_said_is_read() {
        let config = read(json!({
            "host": "unix:///run/other.sock", "privileges": "capabilities", "dropCapabilities": ["SYS_RESOURCE"],
            "imagePolicy": "pull",
        }))
        .unwrap();
        assert_eq!(config.socket().to_str(), Some("/run/other.sock"));
        assert_eq!(config.privileges, Privileges::Capabilities);
        assert_eq!(config.image_policy, ImagePolicy::Pull);
        assert_eq!(config.network, NETWORK);
    }

    #[test]
    fn what_would_do_nothing_is_refused() {
        for (config, field) in [
            (json!({"host": "tcp://10.0.0.1:2375"}), "/scope/config/host"),
            (
                json!({"dropCapabilities": ["SYS_RESOURCE"]}),
                "/scope/config/dropCapabilities",
            ),
            (json!({"hots": "unix:///run/docker.sock"}), "/scope/config"),
        ] {
            assert_eq!(read(config).unwrap_err().detail.field, field);
        }
    }
}
