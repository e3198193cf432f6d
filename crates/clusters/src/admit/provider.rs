//! What the provider says before the first machine of a cluster is made.

use kube::ResourceExt as _;
use resources::anywhere::FailureReason;
use resources::gantry::ProviderCluster;
use resources::keys;

/// Whether a cluster of which nothing exists yet can be made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Site {
    /// It can.
    Good,
    /// Somebody has not said so yet.
    Waits(String),
    /// It can't, and why.
    Bad(FailureReason, String),
}

/// What the driver says of the hosts. Only a status that speaks of the present spec counts.
pub(super) fn hosts(object: Option<&ProviderCluster>) -> Site {
    let Some(object) = object else {
        return Site::Waits("waits for its ProviderCluster".to_owned());
    };
    let (name, provider) = (object.name_any(), &object.spec.provider);
    let ready = object.current().and_then(|status| status.ready());
    match ready.map(|ready| (ready.status.as_str(), &ready.message)) {
        Some(("True", _)) => Site::Good,
        Some(("False", message)) => Site::Bad(FailureReason::HardwareInvalid, message.clone()),
        Some((_, message)) => Site::Waits(format!("waits for provider {provider}: {message}")),
        None if provider == keys::METAL_PROVIDER => Site::Waits(format!(
            "waits for the driver of provider {provider} to say in ProviderCluster {name} which hosts there are; a driver of \
             bare metal runs where `gantry serve` has an interface to the machines"
        )),
        None => Site::Waits(format!(
            "waits for driver {provider} to say in ProviderCluster {name} whether it can make the machines"
        )),
    }
}
