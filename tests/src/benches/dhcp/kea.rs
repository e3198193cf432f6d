//! Kea with the same reservations.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::benches::cable::{Cable, SERVER_LINK};
use crate::benches::machines::{self, NETWORK, ROUTER, spelled};
use crate::benches::process::Process;

/// Starts it with reservations of so many machines, with one thread and its lease file, both as far as it goes without a database.
pub(super) fn start(program: &Path, cable: &Cable, site: &Path, count: usize) -> anyhow::Result<Process> {
    let file = site.join("kea.json");
    std::fs::write(&file, config(site, count).to_string())?;
    let mut command = Command::new(program);
    command.arg("-c").arg(&file);
    for variable in ["KEA_PIDFILE_DIR", "KEA_LOCKFILE_DIR", "KEA_LOGGER_DESTINATION"] {
        let value = if variable.ends_with("DESTINATION") {
            site.join("log")
        } else {
            site.to_owned()
        };
        command.env(variable, value);
    }
    Process::start(&cable.server, command, &site.join("out"))
}

fn config(site: &Path, count: usize) -> Value {
    let mut reservations = Vec::new();
    for number in 1..=count {
        reservations.push(json!({
            "hw-address": spelled(machines::mac(number)),
            "ip-address": machines::address(number),
            "hostname": machines::name(number),
        }));
    }
    json!({"Dhcp4": {
        "interfaces-config": {"interfaces": [SERVER_LINK], "dhcp-socket-type": "udp"},
        "multi-threading": {"enable-multi-threading": false},
        "lease-database": {"type": "memfile", "persist": true, "name": site.join("leases.csv"), "lfc-interval": 0},
        "host-reservation-identifiers": ["hw-address"],
        "valid-lifetime": 3600,
        "loggers": [{"name": "kea-dhcp4", "severity": "ERROR", "output_options": [{"output": site.join("log")}]}],
        "subnet4": [{"subnet": NETWORK.0, "relay": {"ip-addresses": [ROUTER]},
            "option-data": [{"name": "routers", "data": ROUTER.to_string()}], "reservations": reservations}],
    }})
}
