//! One way to a cluster.

/// One way to a cluster, in seconds since the first power-on.
pub(super) struct Way {
    pub(super) ready: f64,
    /// What writing disks took of it.
    pub(super) written: f64,
    /// For people.
    pub(super) stages: Vec<String>,
}
