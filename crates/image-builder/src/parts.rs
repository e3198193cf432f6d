//! How each part is built: one file per kind of part, each writing its result into a directory.

mod boot;
mod chart;
mod containers;
mod debian;
mod go;
mod job;
mod node;

use crate::error::Result;
use crate::part::Part;

pub(crate) use chart::CHART;
pub(crate) use containers::names as container_names;
pub(crate) use job::Job;

/// Builds a part.
pub(crate) fn build(job: &Job<'_>) -> Result<()> {
    match job.part {
        Part::Kubernetes | Part::Etcd | Part::Coredns | Part::Flannel => go::build(job),
        Part::Cilium => chart::build(job),
        Part::Debian => debian::build(job),
        Part::Containers => containers::build(job),
        Part::Boot => boot::build(job),
        Part::NodeDebian => node::build(job),
    }
}

/// Whether a part's recipe changes owners, makes devices or enters a Debian tree.
pub(crate) const fn needs_root(part: Part) -> bool {
    matches!(
        part,
        Part::Debian | Part::Containers | Part::Boot | Part::NodeDebian
    )
}
