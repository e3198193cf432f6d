//! Drains one node: what the decision says, one after the other, until there is something to wait for.

use jiff::Timestamp;

use super::engine::{Drain, DrainInput, DrainPolicy, Refusal, decide};
use super::error::NodeError;
use super::nodes::{Eviction, Nodes};

/// Cordon, evict, evict what came meanwhile, and a last look.
const ROUNDS: usize = 4;

/// The drain of one node. What it remembers are refusals; a new one with the same begin goes on from what it sees.
#[derive(Debug, Clone)]
pub struct Drainer {
    node: String,
    policy: DrainPolicy,
    began: Timestamp,
    refusals: Vec<Refusal>,
}

impl Drainer {
    /// `began`: from when the time of the policy counts.
    #[must_use]
    pub fn new(node: String, policy: DrainPolicy, began: Timestamp) -> Self {
        Self {
            node,
            policy,
            began,
            refusals: Vec::new(),
        }
    }

    /// Goes on as far as possible: the result is `Wait`, `Blocked`, `Overdue` or `Done`; `Evict` only when pods appear
    /// faster than they are evicted.
    ///
    /// # Errors
    /// When a call failed; what was done before it stands.
    pub async fn advance(&mut self, nodes: &dyn Nodes, now: Timestamp) -> Result<Drain, NodeError> {
        let mut drain = self.look(nodes, now).await?;
        for _ in 0..ROUNDS {
            match &drain {
                Drain::Cordon => nodes.cordon(self.node.clone()).await?,
                Drain::Evict(pods) => {
                    for pod in pods {
                        self.refusals.retain(|refusal| refusal.pod != *pod);
                        let eviction = nodes.evict(pod.clone()).await?;
                        if let Eviction::Refused { reason, retry_after } = eviction {
                            self.refusals
                                .push(Refusal::new(pod.clone(), reason, retry_after, now));
                        }
                    }
                }
                Drain::Wait { .. } | Drain::Blocked { .. } | Drain::Overdue { .. } | Drain::Done => break,
            }
            drain = self.look(nodes, now).await?;
        }
        Ok(drain)
    }

    async fn look(&mut self, nodes: &dyn Nodes, now: Timestamp) -> Result<Drain, NodeError> {
        let seen = nodes.occupancy(self.node.clone()).await?;
        self.refusals
            .retain(|refusal| seen.pods.iter().any(|pod| pod.id == refusal.pod));
        Ok(decide(&DrainInput {
            cordoned: seen.cordoned,
            ready: seen.ready,
            pods: &seen.pods,
            budgets: &seen.budgets,
            refusals: &self.refusals,
            policy: &self.policy,
            began: self.began,
            now,
        }))
    }
}
