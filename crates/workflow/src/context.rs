//! What the controller and the service work with.

use std::sync::Arc;

use agent_protocol::Leases;
use compare_and_set::Writer;
use kube::Client;
use resources::keys;
use store::records::Records;

use crate::action_log::LogSender;
use crate::wake::Wake;

/// Writes what was decided, unless somebody else was first.
pub(crate) const WRITER: Writer = Writer::new(keys::MANAGER_WORKFLOW);
/// Where a Server says which attempt counts.
pub(crate) const ATTEMPT: [&str; 2] = ["spec", "attempt"];
/// Where a Server says which disks its attempts write to.
pub(crate) const DISKS: [&str; 2] = ["spec", "disks"];

/// Where a Server says what its data disks were like when the attempt began.
pub(crate) const DATA_DISKS: [&str; 2] = ["spec", "dataDisks"];

/// What the appliance gives.
pub struct Context {
    /// The API.
    pub client: Client,
    /// When agents were last heard; the same as that of `servers`.
    pub leases: Arc<Leases>,
    /// Where action logs go.
    pub records: Records,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("workflow::Context")
    }
}

/// What the service needs.
#[derive(Clone)]
pub(crate) struct ServiceContext {
    pub(crate) client: Client,
    pub(crate) leases: Arc<Leases>,
    pub(crate) log: LogSender,
    pub(crate) wake: Wake,
}

impl std::fmt::Debug for ServiceContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServiceContext")
    }
}

/// What the controller needs.
#[derive(Clone)]
pub(crate) struct ControllerContext {
    pub(crate) client: Client,
    pub(crate) wake: Wake,
}
