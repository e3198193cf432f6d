//! What a provider says of a cluster and of its machines, in the terms that all drivers share; what hangs on a host of bare
//! metal follows it.

use kube::ResourceExt as _;
use resources::gantry::{ProviderCluster, ProviderMachine};

use super::super::first_boot;
use super::Chain;
use crate::snapshot::{phase, word};

impl Chain<'_> {
    pub(super) fn provider_cluster(&mut self, object: &ProviderCluster) {
        let head = format!("ProviderCluster {} ({})", object.name_any(), object.spec.provider);
        let Some(status) = object.current() else {
            self.say(
                1,
                format!("{head}: its driver has not answered to the present spec yet"),
            );
            return;
        };
        let state = match status.ready() {
            Some(ready) if ready.status == "True" => "ready".to_owned(),
            Some(ready) => format!("not ready: {}", ready.message.replace('\n', "; ")),
            None => "its driver does not say whether it is ready".to_owned(),
        };
        self.say(1, format!("{head}: {state}"));
        for pool in &status.pools {
            let text = hosts(object, &pool.name);
            self.say(2, text.unwrap_or_default());
        }
    }

    pub(super) fn provider_machine(&mut self, depth: usize, machine: &ProviderMachine) {
        let status = machine.status.clone().unwrap_or_default();
        let (since, deadline) = (status.since.as_ref(), status.deadline.as_ref());
        let mut state = self.state(&phase(&status), since, status.reason.as_deref(), deadline);
        if let Some(percent) = status.percent {
            state = format!("{state}, {percent} %");
        }
        let (name, role) = (machine.name_any(), word(machine.spec.role));
        self.say(depth, format!("Machine {name} ({role}): {state}"));
        if let Some(next) = first_boot::next(machine) {
            self.say(depth + 1, next);
        }
        if let Some(host) = &status.host {
            match self.is_server(host) {
                true => self.server(depth + 1, host),
                false => self.say(depth + 1, format!("host {host}")),
            }
            return;
        }
        let object = self.snapshot.provider_cluster(&machine.spec.cluster_name);
        let hosts = object.and_then(|object| hosts(object, &machine.spec.pool));
        let hosts = hosts.map(|hosts| format!("; {hosts}")).unwrap_or_default();
        self.say(depth + 1, format!("no host yet{hosts}"));
    }

    /// Whether a host is a machine of bare metal that is known here.
    fn is_server(&self, host: &str) -> bool {
        let snapshot = self.snapshot;
        let mut servers = snapshot.servers.iter();
        let mut hardware = snapshot.hardware.iter();
        servers.any(|server| server.spec.hardware == host) || hardware.any(|known| known.name_any() == host)
    }
}

/// The hosts of a pool, where the driver speaks of the present spec.
fn hosts(object: &ProviderCluster, pool: &str) -> Option<String> {
    let row = object.current()?.pools.iter().find(|row| row.name == pool)?;
    let wanted = object.spec.pools.iter().find(|known| known.name == pool)?.count;
    let shared = match row.shared {
        0 => String::new(),
        shared => format!(
            " ({shared} of them counted for {} too)",
            row.shared_with.join(" and ")
        ),
    };
    let others = match row.not_free.as_slice() {
        [] => String::new(),
        reasons => format!("; not free: {}", reasons.join(", ")),
    };
    Some(format!(
        "pool {pool}: {} of {wanted} machines have a host, {} more are free{shared}{others}",
        row.hosts, row.free
    ))
}
