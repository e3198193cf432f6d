//! The whole chain against bare kubeadm: two powered-off machines through Gantry to a cluster with both nodes Ready,
//! beside the same node image that lies on the disks of the same machines already, whose first boot runs kubeadm init
//! and join with the same configuration. Goal: perf.md B16.
//!
//! Both are told Ready by one observer, `kubectl get nodes` from the site's namespace.

mod bare;
mod ours;
mod watch;
mod way;

use anyhow::bail;

use super::{Case, Findings, Goal};
use crate::rack::missing;

/// Our time may be so many times kubeadm's, plus the disk write.
const GOAL: f64 = 1.15;
const PEER: &str = "kubeadm by hand";

pub(super) async fn run() -> anyhow::Result<Findings> {
    if let Some(what) = missing() {
        bail!("the benchmark needs {what}");
    }
    let seed = format!("{:08x}", std::process::id());
    let bare = bare::run(&format!("{seed}-bare")).await?;
    let ours = ours::run(&seed).await?;
    let case = |case: &str, seconds, goal| {
        Case::new(case, "s", vec![seconds], Goal::AtMost(goal)).beside(PEER, vec![bare.ready])
    };
    let goal = GOAL * bare.ready;
    let mut notes = vec![
        "one run of each, because emulated clusters take many minutes".to_owned(),
        format!(
            "disk write through Gantry {:.0} s, part of its time and of its goal",
            ours.written
        ),
        format!(
            "the same image written by this program to the peer's disks: {:.0} s, not counted",
            bare.written
        ),
    ];
    notes.extend(bare.stages);
    notes.extend(ours.stages);
    Ok(Findings {
        cases: vec![
            case("power-on to both nodes Ready", ours.ready, goal + ours.written),
            case("the same without the disk write", ours.ready - ours.written, goal),
        ],
        notes,
    })
}
