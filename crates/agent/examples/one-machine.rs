//! An appliance for one machine, to try the agent in a virtual one: writes its CA, hands out the actions of a JSON file
//! and prints the reports.
//!
//! `one-machine LISTEN CA_FILE ACTIONS_FILE`; an action is `{"name", "kind", "timeout", "environment": {...}, "disks":
//! [{"name", "serial", "wwn", "size"}]}`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_debug_implementations,
    unreachable_pub,
    dead_code
)]

#[path = "../tests/worker/appliance.rs"]
mod appliance;

use agent_protocol::v1::{Action, PinnedDisk};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut arguments = std::env::args().skip(1);
    let mut next = || {
        arguments
            .next()
            .ok_or_else(|| anyhow::anyhow!("LISTEN CA_FILE ACTIONS_FILE"))
    };
    let (listen, ca_file, actions_file) = (next()?, next()?, next()?);
    let list: Vec<serde_json::Value> = serde_json::from_str(&std::fs::read_to_string(actions_file)?)?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let actions = list.iter().enumerate().map(|(number, action)| Action {
        workflow: "default/trial".to_owned(),
        action_id: number.to_string(),
        name: text(&action["name"]),
        kind: text(&action["kind"]),
        timeout_seconds: action["timeout"].as_u64().unwrap_or(0),
        environment: serde_json::from_value(action["environment"].clone()).unwrap_or_default(),
        disks: action["disks"]
            .as_array()
            .into_iter()
            .flatten()
            .map(pinned)
            .collect(),
        attempt: 1,
        ..Action::default()
    });
    let appliance = appliance::Appliance::new(actions.collect());
    std::fs::write(ca_file, appliance.ca_pem())?;
    let (port, _server) = appliance.serve(&listen).await;
    println!("listening on port {port}, site {}", appliance::SITE);
    let (mut shown, mut claims) = (0, 0);
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let state = appliance.state.lock().map_err(|_| anyhow::anyhow!("poisoned"))?;
        for claim in state.claims.iter().skip(claims) {
            println!("claim {}: {:#?}", claim.boot_id, claim.inventory);
        }
        claims = state.claims.len();
        for report in state.reports.iter().skip(shown) {
            println!(
                "{} {:?} {:?} % {} {:?} {:?}",
                report.action_id,
                report.state(),
                report.percent,
                report.message,
                report.log,
                report.facts
            );
        }
        shown = state.reports.len();
    }
}

fn pinned(disk: &serde_json::Value) -> PinnedDisk {
    let text = |name: &str| disk[name].as_str().unwrap_or_default().to_owned();
    PinnedDisk {
        name: text("name"),
        serial: text("serial"),
        wwn: text("wwn"),
        size: disk["size"].as_u64().unwrap_or_default(),
        ..PinnedDisk::default()
    }
}
