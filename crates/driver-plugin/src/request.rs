//! The messages of calls, made from objects.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use driver::json;
use driver::v1::{MachineIdentity, Owner, Scope, Spec, Userdata, UserdataFormat};
use resources::gantry::{
    MachineRole, PluginMachine, PluginMachineStatus, ProviderMachineSpec, ProviderMachineStatus,
    UserdataFormat as Format,
};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Id of the installation.
    pub(crate) installation: String,
    /// Number of this appliance's time with the driver.
    pub(crate) fence: u64,
}

impl Caller {
    /// The owner of a machine.
    pub(crate) fn owner(&self, spec: &ProviderMachineSpec, name: &str) -> Owner {
        let role = match spec.role {
            MachineRole::ControlPlane => "control-plane",
            MachineRole::Worker => "worker",
        };
        Owner {
            installation_id: self.installation.clone(),
            cluster_uid: spec.cluster_uid.clone(),
            cluster_name: spec.cluster_name.clone(),
            machine_uid: spec.machine_uid.clone(),
            machine_name: name.to_owned(),
            role: role.to_owned(),
            fence: self.fence,
        }
    }

    /// The owner of everything of this installation.
    pub(crate) fn of_all(&self) -> Owner {
        Owner {
            installation_id: self.installation.clone(),
            fence: self.fence,
            ..Owner::default()
        }
    }
}

/// What a machine is to be, without user data.
pub(crate) fn spec(plugin: &PluginMachine, image: &str, failure_domain: Option<&str>) -> Spec {
    Spec {
        vcpus: plugin.vcpus,
        memory_mib: plugin.memory_mib,
        root_disk_gib: plugin.root_disk_gib,
        image_ref: image.to_owned(),
        failure_domain: failure_domain.unwrap_or_default().to_owned(),
        provider: Some(json::to_struct(&plugin.settings)),
        ..Spec::default()
    }
}

/// User data as a machine gets it.
pub(crate) fn userdata(format: Format, data: Vec<u8>) -> Userdata {
    let format = match format {
        Format::CloudConfig => UserdataFormat::CloudConfig,
        Format::Ignition => UserdataFormat::Ignition,
        Format::BottlerocketToml => UserdataFormat::BottlerocketToml,
        Format::Raw => UserdataFormat::Raw,
    };
    Userdata {
        format: format.into(),
        data,
        metadata: Vec::new(),
    }
}

/// Digest of what a machine is to be, without user data: of its JSON, whose fields are in the order of the alphabet.
pub(crate) fn spec_hash(plugin: &PluginMachine, image: &str, failure_domain: Option<&str>) -> String {
    let canonical = serde_json::json!({
        "failureDomain": failure_domain.unwrap_or_default(),
        "image": image,
        "memoryMib": plugin.memory_mib,
        "rootDiskGib": plugin.root_disk_gib,
        "settings": sorted(&plugin.settings),
        "vcpus": plugin.vcpus,
    });
    hex::encode(Sha256::digest(canonical.to_string()))
}

/// An object whose fields are in the order of the alphabet, whatever keeps them.
fn sorted(object: &Map<String, Value>) -> Value {
    let mut fields: Vec<(&String, Value)> = object
        .iter()
        .map(|(name, value)| (name, ordered(value)))
        .collect();
    fields.sort_by(|one, other| one.0.cmp(other.0));
    fields
        .into_iter()
        .map(|(name, value)| (name.clone(), value))
        .collect()
}

fn ordered(value: &Value) -> Value {
    match value {
        Value::Object(object) => sorted(object),
        Value::Array(values) => values.iter().map(ordered).collect(),
        other => other.clone(),
    }
}

/// What finds a machine at its provider.
pub(crate) fn identity(status: &ProviderMachineStatus) -> Option<MachineIdentity> {
    let plugin = status.plugin.as_ref()?;
    let provider_id = status.provider_id.clone().unwrap_or_default();
    if provider_id.is_empty() && plugin.identity.is_empty() {
        return None;
    }
    let keys = (!plugin.identity.is_empty()).then(|| json::to_struct(&plugin.identity));
    Some(MachineIdentity { provider_id, keys })
}

/// What the driver wanted to be told again. A text that is no base64 is none of ours, and a driver goes on without state.
pub(crate) fn state(plugin: &PluginMachineStatus) -> Vec<u8> {
    let text = plugin.state.as_deref().unwrap_or_default();
    STANDARD.decode(text).unwrap_or_default()
}

/// A scope, with its secrets as they are now.
pub(crate) fn scope(
    name: &str,
    config: &Map<String, Value>,
    secrets: impl IntoIterator<Item = (String, Vec<u8>)>,
    generation: u64,
) -> Scope {
    Scope {
        scope_id: name.to_owned(),
        config: Some(json::to_struct(config)),
        secrets: secrets.into_iter().collect(),
        secrets_generation: generation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(settings: &str) -> PluginMachine {
        PluginMachine {
            scope: "lab".to_owned(),
            vcpus: 2,
            memory_mib: 2048,
            settings: serde_json::from_str(settings).unwrap(),
            ..PluginMachine::default()
        }
    }

    #[test]
    fn the_hash_follows_what_is_made_and_nothing_else() {
        let hash = |machine: &PluginMachine| spec_hash(machine, "ubuntu", None);
        let plain = machine(r#"{"tier": "fast", "a": {"y": [1], "x": 2}}"#);
        let other_order = machine(r#"{"a": {"x": 2, "y": [1]}, "tier": "fast"}"#);
        assert_eq!(hash(&plain), hash(&other_order));
        assert_eq!(hash(&plain).len(), 64);
        let elsewhere = PluginMachine {
            scope: "other".to_owned(),
            userdata_format: Format::Raw,
            ..plain.clone()
        };
        assert_eq!(
            hash(&plain),
            hash(&elsewhere),
            "neither scope nor user data is made"
        );
        let mut changed = vec![
            spec_hash(&plain, "debian", None),
            spec_hash(&plain, "ubuntu", Some("a")),
        ];
        let changes: [fn(&mut PluginMachine); 4] = [
            |machine| machine.vcpus = 3,
            |machine| machine.memory_mib = 1,
            |machine| machine.root_disk_gib = 1,
            |machine| drop(machine.settings.insert("tier".to_owned(), "plain".into())),
        ];
        for change in changes {
            let mut other = plain.clone();
            change(&mut other);
            changed.push(hash(&other));
        }
        changed.push(hash(&plain));
        let count = changed.len();
        changed.sort();
        changed.dedup();
        assert_eq!(changed.len(), count);
    }

    #[test]
    fn state_comes_back_as_it_was() {
        let plugin = PluginMachineStatus {
            state: Some(STANDARD.encode([0, 159, 146, 150])),
            ..PluginMachineStatus::default()
        };
        assert_eq!(state(&plugin), [0, 159, 146, 150]);
        assert!(state(&PluginMachineStatus::default()).is_empty());
    }
}
