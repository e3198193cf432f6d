//! The condition `Settled`, and what a look at the surroundings changes in a status.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use resources::Time;
use resources::conditions::Holds;
use resources::gantry::ProviderMachineStatus;

use crate::plugin_state::PluginState;
use crate::snapshot::{Snapshot, UserdataView};

/// Type of the condition.
const SETTLED: &str = "Settled";

/// Says in the condition whether what is wanted of the machine is so. `word` is the reason, in the words of the contract or
/// in CamelCase.
pub(crate) fn note(snapshot: &mut Snapshot, holds: Holds, word: &str, text: &str, now: Timestamp) {
    let generation = snapshot.machine.metadata.generation;
    let plugin = snapshot.plugin_mut();
    let status = match holds {
        Holds::True => "True",
        Holds::False => "False",
        Holds::Unknown => "Unknown",
    };
    let before = plugin.conditions.iter().find(|known| known.type_ == SETTLED);
    let since = before.filter(|known| known.status == status);
    let since = since.map_or(Time(now), |known| known.last_transition_time.clone());
    plugin.conditions = vec![Condition {
        type_: SETTLED.to_owned(),
        status: status.to_owned(),
        reason: word.to_owned(),
        message: text.to_owned(),
        last_transition_time: since,
        observed_generation: generation,
    }];
}

/// Takes in what was seen around the machine.
pub(crate) fn observe(snapshot: &mut Snapshot, hash: Option<String>, now: Timestamp) {
    let state = snapshot.state();
    if let Some(obstacle) = snapshot.obstacle()
        && state != PluginState::Failed
        && snapshot.plugin().attempts > 0
    {
        note(snapshot, Holds::Unknown, "CannotAsk", &obstacle, now);
    }
    if !matches!(state, PluginState::Pending | PluginState::Creating) {
        return;
    }
    let lacks_data = matches!(snapshot.userdata, UserdataView::Missing(_));
    let asks = lacks_data && snapshot.obstacle().is_none() && !snapshot.is_deleted();
    let installation = snapshot.machine.spec.installation;
    let status: &mut ProviderMachineStatus = snapshot.machine.status.get_or_insert_default();
    status.installation = Some(installation);
    if asks {
        // It could be made at once, so its data are made now and no earlier: what is in them lasts only so long.
        status.bootstrap_requested_at.get_or_insert(Time(now));
    }
    let known = status
        .plugin
        .as_ref()
        .and_then(|plugin| plugin.spec_hash.as_ref());
    if hash.is_some() && known != hash.as_ref() {
        let plugin = snapshot.plugin_mut();
        plugin.spec_hash = hash;
        // What was refused may fit now.
        plugin.next_call = None;
    }
}
