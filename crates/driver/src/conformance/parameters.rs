//! What a person says about the provider to test against.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::json;
use crate::v1::{Nic, Scope, Spec};

/// A file of parameters.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parameters {
    /// `Scope.config` with which everything works.
    pub config: Map<String, Value>,
    /// `Scope.secrets` with which everything works.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// Secrets that the provider refuses. Without them the case of a wrong password is not run.
    #[serde(default)]
    pub wrong_secrets: Option<BTreeMap<String, String>>,
    /// Field of `config` with the URL of the provider, `http://HOST:PORT` or `unix://PATH`, where a proxy is put for the
    /// cases in which requests are lost or fail. Without it these are not run.
    #[serde(default)]
    pub url_field: Option<String>,
    /// Machine to make. The driver has to be able to make `machines` of it.
    pub spec: SpecParameters,
    /// Values that name nothing at the provider.
    #[serde(default)]
    pub missing: Vec<Missing>,
    /// Machines that are made at once for lists; 4 when absent.
    #[serde(default = "machines")]
    pub machines: u32,
}

const fn machines() -> u32 {
    4
}

/// A machine to make.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpecParameters {
    /// Processors.
    pub vcpus: u32,
    /// Memory.
    pub memory_mib: u64,
    /// Root disk.
    #[serde(default)]
    pub root_disk_gib: u64,
    /// Image that exists.
    pub image_ref: String,
    /// Networks of its NICs.
    #[serde(default)]
    pub networks: Vec<String>,
    /// `Spec.provider`.
    #[serde(default)]
    pub provider: Map<String, Value>,
}

/// A value that names nothing.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Missing {
    /// Where it is put: a JSON pointer into the request of `CheckScope`, as `/scope/config/network` or
    /// `/specs/0/image_ref`.
    pub field: String,
    /// The value.
    pub value: String,
}

impl Parameters {
    /// The scope in which everything works.
    pub(super) fn scope(&self) -> Scope {
        Scope {
            scope_id: "conformance".to_owned(),
            config: Some(json::to_struct(&self.config)),
            secrets: secrets(&self.secrets),
            secrets_generation: 1,
        }
    }

    /// The machine.
    pub(super) fn spec(&self) -> Spec {
        let nics = self.spec.networks.iter().map(|network| Nic {
            network: network.clone(),
            ..Nic::default()
        });
        Spec {
            vcpus: self.spec.vcpus,
            memory_mib: self.spec.memory_mib,
            root_disk_gib: self.spec.root_disk_gib,
            image_ref: self.spec.image_ref.clone(),
            nics: nics.collect(),
            provider: Some(json::to_struct(&self.spec.provider)),
            ..Spec::default()
        }
    }
}

/// Secrets as a scope has them.
pub(super) fn secrets(texts: &BTreeMap<String, String>) -> HashMap<String, Vec<u8>> {
    let texts = texts.iter();
    texts
        .map(|(name, text)| (name.clone(), text.clone().into_bytes()))
        .collect()
}
