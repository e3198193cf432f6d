//! Which free Server a machine gets: the first by name whose Hardware has the labels of one selector term. One whose
//! installation has failed lately is taken only when there is no other; then the one whose failure is longest ago.

use std::collections::BTreeMap;

use kube::ResourceExt as _;
use resources::gantry::{SelectorTerm, Server};
use resources::tinkerbell::Hardware;

use crate::availability::Availability;
use crate::cooldown::Cooldown;

/// No Server can be had; how many match and what they are busy with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoServer {
    /// The terms, for people.
    pub wanted: String,
    /// Servers whose labels match, with why they are not free.
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
    let obstacle = |server: &Server| {
        let labels = hardware.get(&server.spec.hardware).map(|found| found.labels());
        Availability::of(server, cooldown.span).obstacle(labels)
    };
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
