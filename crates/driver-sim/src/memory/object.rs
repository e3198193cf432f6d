//! Machines as the provider has them.

use serde::{Deserialize, Serialize};

/// Questions after which a machine that was switched on has booted.
const BOOT_QUESTIONS: u32 = 2;

/// What a client wants made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewObject {
    /// Name, unique at the provider.
    pub name: String,
    /// Text that comes back unchanged.
    #[serde(default)]
    pub marks: Marks,
    /// Processors.
    pub vcpus: u32,
    /// Memory.
    pub memory_mib: u64,
    /// Image.
    pub image: String,
    /// Network.
    pub network: String,
    /// User data.
    #[serde(default)]
    pub userdata: Vec<u8>,
}

/// Whose machine it is. Empty: nobody's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marks {
    /// Installation of the core.
    pub installation: String,
    /// Cluster.
    pub cluster: String,
    /// Name of the cluster.
    pub cluster_name: String,
    /// Machine.
    pub machine: String,
    /// Role in the cluster.
    pub role: String,
    /// Digest of its spec.
    pub hash: String,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Id that the provider gives out, never twice.
    pub id: u64,
    /// As it was made, and changed since.
    #[serde(flatten)]
    pub made: NewObject,
    /// Power.
    pub power: ObjectPower,
    /// How often it was looked at since it was switched on.
    pub looked_at: u32,
}

/// Power of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectPower {
    /// It is on.
    On,
    /// It is off.
    Off,
}

impl Object {
    /// A machine that was just made: off.
    pub(crate) const fn new(id: u64, made: NewObject) -> Self {
        Self {
            id,
            made,
            power: ObjectPower::Off,
            looked_at: 0,
        }
    }

    /// Somebody looks at it. Time passes for it by that alone, so that tests need no clock.
    pub(crate) fn look(&mut self) -> Self {
        if self.power == ObjectPower::On {
            self.looked_at = self.looked_at.saturating_add(1);
        }
        self.clone()
    }

    /// Whether its system runs.
    #[must_use]
    pub const fn has_booted(&self) -> bool {
        matches!(self.power, ObjectPower::On) && self.looked_at >= BOOT_QUESTIONS
    }

    /// Addresses that its system reports: its own, and what every system has besides.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        if !self.has_booted() {
            return Vec::new();
        }
        let own = format!("10.7.{}.{}", self.id / 250, self.id % 250 + 1);
        vec!["127.0.0.1".to_owned(), "fe80::1".to_owned(), own]
    }
}
