//! What no fault may lead to.

use anyhow::ensure;

use crate::rack::Rack;

/// No machine of the rack was ever powered on.
pub(super) fn never_powered_on(rack: &Rack) -> anyhow::Result<()> {
    let status = lab::status(Some(&rack.plan.id), None)?;
    let power_ons: u64 = status.machines.iter().map(|machine| machine.power_ons).sum();
    ensure!(power_ons == 0, "a machine was powered on");
    Ok(())
}
