//! What machines that join a control plane read in the cluster: version and settings of the members.

use resources::gantry::PlanStepKind;

use super::draft::Draft;
use super::seen::{Seen, Stage};
use super::wanted::Pool;

/// The step after which machines that join the control plane find the version and settings of their revision in the
/// cluster. `None` when they do already: no member is of another revision, or an earlier plan has written them.
pub(crate) fn config_step(draft: &mut Draft, seen: &Seen, pool: &Pool) -> Option<String> {
    let mut members = seen.of_pool(pool);
    let outdated = members.any(|member| {
        let runs = matches!(member.stage, Stage::Asks | Stage::Joined);
        runs && member.is_outdated(pool)
    });
    if !outdated || seen.joins_with.as_ref() == Some(&pool.revision) {
        return None;
    }
    let kind = PlanStepKind::UpdateClusterConfig;
    let known = draft.find(kind);
    Some(known.unwrap_or_else(|| draft.add(kind, None, Vec::new())))
}
