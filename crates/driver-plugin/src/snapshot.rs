//! What a decision looks at.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use resources::gantry::{PluginMachineStatus, ProviderMachine};
use resources::keys;

use crate::pace::Pace;
use crate::plugin_state::PluginState;

/// A ProviderMachine, and what its driver could be asked with.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The object, with the status as far as it is decided.
    pub machine: ProviderMachine,
    /// Its driver.
    pub driver: DriverView,
    /// Its scope.
    pub scope: ScopeView,
    /// Its user data.
    pub userdata: UserdataView,
    /// How long an object can be missing from what its provider says after it was made.
    pub lag: SignedDuration,
    /// Times between calls.
    pub pace: Pace,
}

/// Whether a driver can be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriverView {
    /// It can.
    Ready,
    /// It can't now, and why.
    NotReady(String),
    /// The configuration has none of that name.
    Unknown {
        /// Those that it has.
        known: Vec<String>,
    },
}

/// Whether calls can be made in a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScopeView {
    /// They can.
    Open,
    /// The driver has none of that name.
    Unknown {
        /// Those that it has.
        known: Vec<String>,
    },
    /// Something is missing that a person adds.
    Lacks(String),
    /// Its credential was refused.
    Paused {
        /// As the driver said it.
        reason: String,
        /// What ends it.
        remedy: String,
    },
}

/// Whether the user data of a machine is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserdataView {
    /// It is, or none is wanted.
    Ready,
    /// It is not, and what is waited for.
    Missing(String),
}

impl Snapshot {
    /// The state of the machine.
    #[must_use]
    pub fn state(&self) -> PluginState {
        PluginState::of(self.machine.status.as_ref()).unwrap_or_default()
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.machine.metadata.deletion_timestamp.is_some()
    }

    pub(crate) fn is_held(&self) -> bool {
        let mut finalizers = self.machine.finalizers().iter();
        finalizers.any(|name| name == keys::PROVIDER_MACHINE_FINALIZER)
    }

    /// What stands between the controller and the driver.
    pub(crate) fn plugin(&self) -> PluginMachineStatus {
        let status = self.machine.status.as_ref();
        status
            .and_then(|status| status.plugin.clone())
            .unwrap_or_default()
    }

    pub(crate) fn plugin_mut(&mut self) -> &mut PluginMachineStatus {
        let status = self.machine.status.get_or_insert_default();
        status.plugin.get_or_insert_default()
    }

    pub(crate) fn reason(&self) -> Option<String> {
        self.machine.status.as_ref()?.reason.clone()
    }

    /// What the driver and its scope are called, for people.
    pub(crate) fn whom(&self) -> String {
        let spec = &self.machine.spec;
        let scope = spec.plugin.as_ref().map(|plugin| plugin.scope.as_str());
        format!("driver {} in scope {}", spec.provider, scope.unwrap_or_default())
    }

    /// Why no call can be made now.
    pub(crate) fn obstacle(&self) -> Option<String> {
        let provider = &self.machine.spec.provider;
        match &self.driver {
            DriverView::Ready => {}
            DriverView::NotReady(reason) => return Some(reason.clone()),
            DriverView::Unknown { known } => {
                return Some(format!(
                    "the configuration of the appliance has no driver {provider}, only {}; add it to the file of setting \
                     `driversFile` and start the appliance anew",
                    names(known)
                ));
            }
        }
        let Some(plugin) = &self.machine.spec.plugin else {
            return Some(format!(
                "spec.plugin is missing, which says what driver {provider} is to make"
            ));
        };
        match &self.scope {
            ScopeView::Open => None,
            ScopeView::Unknown { known } => Some(format!(
                "driver {provider} has no scope {:?} (spec.plugin.scope), only {}; add it to the file of setting `driversFile`",
                plugin.scope,
                names(known)
            )),
            ScopeView::Lacks(what) => Some(what.clone()),
            ScopeView::Paused { reason, remedy } => Some(format!(
                "scope {} of driver {provider} is paused: {reason}; {remedy}",
                plugin.scope
            )),
        }
    }

    /// When the provider's word that a machine is absent can be believed: its lists may lag behind what was made last.
    pub(crate) fn absence_counts_from(&self) -> Option<Timestamp> {
        let made = self.plugin().attempted_at?.0;
        Some(steps::later(made, self.lag.saturating_mul(2)))
    }
}

fn names(known: &[String]) -> String {
    match known {
        [] => "none at all".to_owned(),
        known => known.join(", "),
    }
}
