//! The NoCloud seed: public user data and meta data; and the script of the first boot.
//!
//! The agent's action `seed` lays the seed under `/var/lib/cloud/seed/nocloud`, the script among cloud-init's scripts
//! for every boot, and its key, certificate and addresses under `/etc/gantry/first-boot`, for root only.

use resources::anywhere::User;
use serde_json::{Value, json};

use crate::error::{Error, yaml};
use crate::host_network::{HostNetwork, netplan};

/// The script of the first boot: Python of the standard library only, which cloud-init brings along.
pub const FIRST_BOOT_SCRIPT: &str = include_str!("first_boot/first-boot.py");

/// `user-data`: host name and users with SSH keys. Public.
///
/// # Errors
/// When it cannot be printed.
pub fn user_data(hostname: &str, users: &[User]) -> Result<String, Error> {
    cloud_config(&public(hostname, users))
}

/// What anybody may know.
pub(crate) fn public(hostname: &str, users: &[User]) -> Value {
    let users: Vec<Value> = users
        .iter()
        .filter(|user| !user.name.is_empty())
        .map(user_entry)
        .collect();
    json!({
        "hostname": hostname,
        "preserve_hostname": false,
        "manage_etc_hosts": "localhost",
        "users": users,
        "ssh_pwauth": false,
        "disable_root": true,
    })
}

/// As cloud-init reads it.
pub(crate) fn cloud_config(data: &Value) -> Result<String, Error> {
    Ok(format!("#cloud-config\n{}", yaml("user-data", data)?))
}

fn user_entry(user: &User) -> Value {
    json!({
        "name": user.name,
        "gecos": user.name,
        "shell": "/bin/bash",
        "lock_passwd": true,
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "ssh_authorized_keys": user.ssh_authorized_keys,
    })
}

/// `meta-data`. The instance id decides what cloud-init does again: it is of one installation of one machine.
///
/// # Errors
/// When it cannot be printed.
pub fn meta_data(instance_id: &str, hostname: &str) -> Result<String, Error> {
    yaml(
        "meta-data",
        &json!({ "instance-id": instance_id, "local-hostname": hostname }),
    )
}

/// `network-config`: the same network as in [`netplan`], for systems whose cloud-init renders it.
#[must_use]
pub fn network_config(network: &HostNetwork) -> String {
    netplan(network)
}
