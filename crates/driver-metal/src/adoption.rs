//! Whether a node of a cluster runs on a server, so that the server may be taken for it as it is. Pure.
//!
//! What a node says of itself can be said by any machine that joins the cluster, so it is not enough that Hardware and node
//! agree: the UUID of its firmware has to be the one that the BMC or an installer of ours has told of that server.

use kube::ResourceExt as _;
use resources::bmc::{self, BmcInventory};
use resources::gantry::{AdoptedNode, ProviderMachine, Server};
use resources::tinkerbell::Hardware;
use resources::{SystemUuid, keys};

use crate::installation::address;

/// Why the server of a node is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It would be wrong.
    Wrong(String),
    /// Something that may still come is missing.
    Missing(String),
}

/// The server that a providerID of bare metal names, if that is one of this namespace.
pub(crate) fn server_of<'a>(namespace: &str, provider_id: &'a str) -> Option<&'a str> {
    let (of, name) = provider_id.strip_prefix("tinkerbell://")?.split_once('/')?;
    (of == namespace && !name.is_empty() && !name.contains('/')).then_some(name)
}

/// Whether the evidence is enough.
pub(crate) fn judge(
    machine: &ProviderMachine,
    node: &AdoptedNode,
    (server, hardware): (&Server, Option<&Hardware>),
    bmc: Option<&bmc::Machine>,
) -> Result<(), Refusal> {
    let name = server.name_any();
    let hardware =
        hardware.ok_or_else(|| Refusal::Missing(format!("Hardware {} is missing", server.spec.hardware)))?;
    in_use(machine, server, hardware).map_err(Refusal::Wrong)?;
    let known = address(hardware).unwrap_or("none");
    if known != node.address {
        return Err(Refusal::Wrong(format!(
            "node {} has the address {}, Hardware {} names {known}",
            node.node,
            node.address,
            hardware.name_any()
        )));
    }
    let hostname = node_config::hostname(hardware);
    if hostname != node.node {
        return Err(Refusal::Wrong(format!(
            "the node is called {}, the host of Hardware {} {hostname}",
            node.node,
            hardware.name_any()
        )));
    }
    let power = server.status.as_ref().and_then(|status| status.power.as_deref());
    if power == Some("off") {
        return Err(Refusal::Wrong(format!(
            "the BMC of {name} says that it is off, so node {} runs somewhere else",
            node.node
        )));
    }
    same_machine(node, server, bmc)
}

/// Why the server can't be taken whatever runs on it.
fn in_use(machine: &ProviderMachine, server: &Server, hardware: &Hardware) -> Result<(), String> {
    let name = server.name_any();
    if server.metadata.deletion_timestamp.is_some() {
        return Err(format!("{name} is being deleted"));
    }
    if let Some(claim) = &server.spec.claim {
        return Err(format!("{name} is claimed by {} {}", claim.kind, claim.name));
    }
    let owner = hardware.labels().get(keys::OWNER_NAME);
    if let Some(owner) = owner.filter(|owner| **owner != machine.name_any()) {
        return Err(format!("{name} is owned by {owner}"));
    }
    if let Some(quarantine) = &server.spec.quarantine {
        return Err(format!("{name} is quarantined ({})", quarantine.reason));
    }
    match &server.spec.attempt {
        Some(attempt) if !attempt.closed => Err(format!(
            "workflow {} works on {name}: wait for its end, or delete it",
            attempt.workflow
        )),
        _ => Ok(()),
    }
}

/// Whether the firmware of the node's machine is that of the server, by somebody else's word than the node's.
fn same_machine(node: &AdoptedNode, server: &Server, bmc: Option<&bmc::Machine>) -> Result<(), Refusal> {
    let name = server.name_any();
    let read = |text: &String| text.parse::<SystemUuid>().ok();
    let Some(shown) = node.system_uuid.as_ref().and_then(read) else {
        return Err(Refusal::Wrong(format!(
            "the cluster tells no UUID of the machine of node {} (status.nodeInfo.systemUUID)",
            node.node
        )));
    };
    let by_bmc = bmc.and_then(BmcInventory::of).and_then(|known| known.uuid);
    let status = server.status.as_ref();
    let by_agent = status.and_then(|status| status.inventory.as_ref()?.uuid.clone());
    let known = [("its BMC", by_bmc), ("an installer", by_agent)];
    let mut known = known
        .iter()
        .filter_map(|(who, text)| Some((*who, text.as_ref()?, text.as_ref().and_then(read)?)))
        .peekable();
    if known.peek().is_none() {
        return Err(Refusal::Missing(format!(
            "neither the BMC of {name} nor an installer has told the UUID of its machine, so that nobody knows whether node {} \
             runs on it",
            node.node
        )));
    }
    // The BMC comes first; an installer's word may be of a mainboard that was replaced.
    match known.next() {
        Some((who, text, uuid)) if uuid != shown => Err(Refusal::Wrong(format!(
            "the machine of node {} has the UUID {}, that of {name} has {text} by the word of {who}",
            node.node,
            node.system_uuid.as_deref().unwrap_or_default()
        ))),
        _ => Ok(()),
    }
}
