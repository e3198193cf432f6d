//! An endpoint that a host has which the appliance knows nothing of: found by asking the machines' network.

use std::process::Command;

use super::power_ons::never_powered_on;
use crate::command::done;
use crate::rack::Rack;
use crate::said::says;

/// The bridge of the boot network gets the cluster's address, and `gantry create cluster` says who has it.
pub(super) fn taken(rack: &Rack) -> anyhow::Result<()> {
    let (vip, name) = (rack.plan.vip, &rack.plan.cluster_name);
    let address = |verb: &str| {
        let mut ip = Command::new("ip");
        ip.args(["-netns", &rack.plan.rack_namespace, "address", verb]);
        done(ip.args([&format!("{vip}/32"), "dev", "br-boot"])).map(drop)
    };
    address("add")?;
    let create = [
        "create",
        "cluster",
        "-f",
        "cluster.yaml",
        "-z",
        "hardware.csv",
        "--timeout",
        "5",
    ];
    let refused = rack.refused(&create);
    address("delete")?;
    let parts = [
        format!("spec.controlPlaneConfiguration.endpoint.host: {vip} is in use: "),
        " answers for it; write an address that nobody else has".to_owned(),
        "--skip-ip-check".to_owned(),
    ];
    says(&refused?.1, &parts.each_ref().map(String::as_str))?;
    never_powered_on(rack)?;
    println!("{}", rack.gantry(&["delete", "cluster", name, "--yes"])?);
    println!("endpoint that somebody has: refused before any machine was powered on");
    Ok(())
}
