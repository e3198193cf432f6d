//! Which free Server a machine gets: the first by name whose Hardware has the labels of one selector term. One whose
//! installation has failed lately is taken only when there is no other; then the one whose failure is longest ago.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use kube::ResourceExt as _;
use resources::gantry::{SelectorTerm, Server};
use resources::tinkerbell::Hardware;

use crate::availability::{Availability, Obstacle};
use crate::cooldown::Cooldown;

/// No Server can be had; how many match and what they are busy with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoServer {
    /// The terms, for people.
    pub wanted: String,
    /// Why servers whose labels match are not free.
    pub busy: Vec<String>,
}

impl NoServer {
    pub(crate) fn reason(&self) -> String {
        if self.busy.is_empty() {
            return format!(
                "no hardware has the labels {}; add a row with them to hardware.csv and import it",
                self.wanted
            );
        }
        format!(
            "no free server has the labels {}: {}",
            self.wanted,
            self.busy.join(", ")
        )
    }
}

/// The Server to claim.
///
/// # Errors
/// [`NoServer`] when none is free.
pub fn select<'a>(
    selector: &[SelectorTerm],
    servers: &'a [Server],
    hardware: &BTreeMap<String, Hardware>,
    cooldown: Cooldown,
) -> Result<&'a Server, NoServer> {
    let mut matching: Vec<&Server> = servers
        .iter()
        .filter(|server| {
            hardware
                .get(&server.spec.hardware)
                .is_some_and(|hardware| matches(selector, hardware.labels()))
        })
        .collect();
    let failed_at = |server: &Server| cooldown.failure(server).map(|failure| failure.at.0);
    matching.sort_by_cached_key(|server| (failed_at(server), server.name_any()));
    let obstacle = |server: &Server| obstacle(server, hardware.get(&server.spec.hardware));
    if let Some(free) = matching.iter().find(|server| obstacle(server).is_none()) {
        return Ok(free);
    }
    let busy = matching
        .iter()
        .filter_map(|server| obstacle(server).map(|why| format!("{} {why}", server.name_any())))
        .collect();
    Err(NoServer {
        wanted: wanted(selector),
        busy,
    })
}

/// Whether a server with this Hardware is one that was chosen, and nothing stands in the way of a claim.
pub(crate) fn can_be_had(selector: &[SelectorTerm], server: &Server, hardware: Option<&Hardware>) -> bool {
    let fits = hardware.is_some_and(|hardware| matches(selector, hardware.labels()));
    fits && obstacle(server, hardware).is_none()
}

fn obstacle(server: &Server, hardware: Option<&Hardware>) -> Option<Obstacle> {
    let labels = hardware.map(|found| found.labels());
    Availability::of(server, SignedDuration::ZERO).obstacle(labels)
}

/// Whether a host with these labels is one that was chosen. Without a term every host is.
pub(crate) fn matches(selector: &[SelectorTerm], labels: &BTreeMap<String, String>) -> bool {
    selector.is_empty() || selector.iter().any(|term| term.selects(labels))
}

fn wanted(selector: &[SelectorTerm]) -> String {
    let terms: Vec<String> = selector.iter().map(ToString::to_string).collect();
    if terms.is_empty() {
        "(any)".to_owned()
    } else {
        terms.join(" or ")
    }
}
