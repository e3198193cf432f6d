//! From what is wanted and what was observed to a plan. Pure: the same input gives the same plan.

mod api_server;
mod balance;
mod certificate_state;
mod certificates;
mod cluster_config;
mod continuation;
mod control_plane;
mod delete;
mod draft;
mod ended_certificates;
mod founding;
mod gates;
mod health;
mod names;
mod node_keys;
mod only_member;
mod pause;
mod planner;
mod quorum;
mod removal;
mod rollout;
mod seen;
mod spares;
mod successor;
mod upgrade;
mod verdict;
mod wanted;
mod workers;

pub use balance::Policy;
pub use certificate_state::{CertificateState, MemberCertificates};
pub(crate) use certificates::{URGENT, is_renewed};
pub(crate) use continuation::{covers, disrupts_no_more, goes_too_far, takes_more};
pub use delete::delete;
pub(crate) use gates::to_retry;
pub use health::HealthLimits;
pub(crate) use health::STARTUP;
pub(crate) use names::{LABEL, adopted_name, machine_uid, object_name};
pub(crate) use node_keys::CONTROL_PLANE_NODE;
pub(crate) use pause::{rollout_paused, to_resume};
pub use planner::{Identity, plan};
pub(crate) use quorum::can_restart;
pub use quorum::{can_remove, quorum};
pub use rollout::RolloutLimits;
pub use seen::{
    ApiState, EtcdMember, EtcdState, Founding, FreeHosts, GateState, Gates, Member, NodeState, SavedData,
    Seen, Stage,
};
pub use verdict::{Block, Verdict};
pub(crate) use wanted::is_minor;
pub use wanted::{Pool, Wanted, image_name};
