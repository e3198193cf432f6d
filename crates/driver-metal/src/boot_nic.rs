//! The NIC that a machine boots from, and by what its agent is called.

use std::collections::BTreeMap;

use kube::ResourceExt as _;
use resources::Mac;
use resources::tinkerbell::Hardware;

use crate::error::Error;

/// MAC address of the NIC that the machine boots from and that carries the node's address.
pub(crate) fn boot_mac(hardware: &Hardware) -> Result<Mac, Error> {
    let mac = hardware
        .spec
        .interfaces
        .iter()
        .find_map(|interface| interface.dhcp.as_ref()?.mac);
    mac.ok_or_else(|| Error::Hardware {
        hardware: hardware.name_any(),
        field: "spec.interfaces[0].dhcp.mac",
    })
}

/// Names by which templates call agents: `device_1` is the machine itself.
pub(crate) fn hardware_map(hardware: &Hardware, mac: Mac) -> BTreeMap<String, String> {
    let agent = hardware.spec.agent_id.clone().unwrap_or_else(|| mac.to_string());
    [("device_1".to_owned(), agent)].into()
}
