//! Story `faults`: what a user gets for bad input and broken things. A CSV and a YAML with faults, an endpoint that
//! somebody has, an image with a wrong digest, one that was damaged after it was checked, one without a boot loader, a disk that is too small, a machine that
//! never boots: each ends within its deadline with a reason that names the place and the next step, and nothing is
//! half-applied. One BIOS machine with a small disk.

mod endpoint;
mod images;
mod input;
mod machine;
mod power_ons;

use lab::{Firmware, UpOptions};

use super::Options;
use super::on_rack::on_rack;
use crate::end::End;
use crate::rack::Rack;

pub(crate) async fn run(options: Options) -> anyhow::Result<End> {
    let shape = UpOptions {
        machines: 1,
        firmware: Firmware::Bios,
        disk_gib: 1,
        ..UpOptions::default()
    };
    on_rack(options, "faults-", shape, tell).await
}

async fn tell(rack: &mut Rack) -> anyhow::Result<()> {
    rack.blank()?;
    // A machine that is silent for a minute and a half is given up; the firmware of the rack takes seconds.
    rack.serve_flags = vec!["--post-minutes".to_owned(), "1".to_owned()];
    rack.serve().await?;
    input::csv(rack)?;
    input::yaml(rack)?;
    endpoint::taken(rack)?;
    images::refused(rack)?;
    rack.blank()?;
    machine::disk_too_small(rack).await?;
    rack.blank()?;
    machine::damaged_image(rack).await?;
    machine::never_boots(rack).await?;
    rack.end_appliance()
}
