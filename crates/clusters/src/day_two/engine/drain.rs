//! The next thing to do about a node that is to be empty.
//!
//! The API server decides about each eviction. What it refused is tried again every five seconds, as kubectl does, and
//! meanwhile the reason names pod and budget.

use jiff::{SignedDuration, Timestamp};

use super::budget::BudgetView;
use super::pod::{PodId, PodView};

/// After a refusal, unless the API names a time.
const RETRY: SignedDuration = SignedDuration::from_secs(5);
/// How many pods a text names.
const NAMED: usize = 5;

/// How a node is drained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainPolicy {
    /// Evict pods without a controller too, which nobody makes anew.
    pub force: bool,
    /// How long it may take from its begin.
    pub timeout: SignedDuration,
}

/// An eviction that the API refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) pod: PodId,
    pub(crate) reason: String,
    /// When it is tried again.
    pub(crate) retry: Timestamp,
}

impl Refusal {
    pub(crate) fn new(
        pod: PodId,
        reason: String,
        retry_after: Option<SignedDuration>,
        now: Timestamp,
    ) -> Self {
        let retry = now
            .checked_add(retry_after.unwrap_or(RETRY))
            .unwrap_or(Timestamp::MAX);
        Self { pod, reason, retry }
    }
}

/// All that the decision is about.
#[derive(Debug, Clone)]
pub(crate) struct DrainInput<'a> {
    pub(crate) cordoned: bool,
    /// The kubelet is alive.
    pub(crate) ready: bool,
    pub(crate) pods: &'a [PodView],
    pub(crate) budgets: &'a [BudgetView],
    pub(crate) refusals: &'a [Refusal],
    pub(crate) policy: &'a DrainPolicy,
    pub(crate) began: Timestamp,
    pub(crate) now: Timestamp,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drain {
    /// Mark the node unschedulable.
    Cordon,
    /// Evict these pods.
    Evict(Vec<PodId>),
    /// Pods end, or budgets do not let them go.
    Wait {
        /// Which, and why.
        reason: String,
        /// When to look again.
        until: Timestamp,
    },
    /// Somebody must decide about pods that nobody makes anew. Nothing was done yet.
    Blocked {
        /// Which, and what can be done.
        reason: String,
    },
    /// The time is over.
    Overdue {
        /// Which pods are left, and why.
        reason: String,
    },
    /// What is left on the node may stay there.
    Done,
}

pub(crate) fn decide(input: &DrainInput<'_>) -> Drain {
    let left: Vec<&PodView> = input.pods.iter().filter(|pod| input.is_left(pod)).collect();
    let unmanaged = || left.iter().filter(|pod| pod.ends.is_none() && pod.is_unmanaged());
    if !input.policy.force && unmanaged().next().is_some() {
        let names = listed(unmanaged().map(|pod| pod.id.to_string()), ", ");
        return Drain::Blocked {
            reason: format!("pods without a controller: {names}; delete or move them, or force the drain"),
        };
    }
    if !input.cordoned {
        return Drain::Cordon;
    }
    if left.is_empty() {
        return Drain::Done;
    }
    let deadline = input
        .began
        .checked_add(input.policy.timeout)
        .unwrap_or(Timestamp::MAX);
    let reason = || listed(left.iter().map(|pod| input.reason(pod)), "; ");
    if input.now >= deadline {
        return Drain::Overdue { reason: reason() };
    }
    let due: Vec<PodId> = left
        .iter()
        .filter(|pod| {
            pod.ends.is_none()
                && input
                    .refusal(pod)
                    .is_none_or(|refusal| refusal.retry <= input.now)
        })
        .map(|pod| pod.id.clone())
        .collect();
    if !due.is_empty() {
        return Drain::Evict(due);
    }
    let next = left.iter().map(|pod| input.look_again(pod)).min();
    Drain::Wait {
        reason: reason(),
        until: next.map_or(deadline, |next| next.min(deadline)),
    }
}

impl DrainInput<'_> {
    /// A dead kubelet never confirms that a pod has ended: after its grace period it counts as gone.
    fn is_left(&self, pod: &PodView) -> bool {
        let given_up = !self.ready && pod.ends.is_some_and(|ends| ends <= self.now);
        !pod.stays() && !given_up
    }

    fn refusal(&self, pod: &PodView) -> Option<&Refusal> {
        self.refusals.iter().find(|refusal| refusal.pod == pod.id)
    }

    fn look_again(&self, pod: &PodView) -> Timestamp {
        let soon = self.now.checked_add(RETRY).unwrap_or(Timestamp::MAX);
        let time = pod
            .ends
            .or_else(|| self.refusal(pod).map(|refusal| refusal.retry));
        time.filter(|time| *time > self.now)
            .map_or(soon, |time| time.min(soon))
    }

    fn reason(&self, pod: &PodView) -> String {
        if let Some(ends) = pod.ends {
            let by = pod.disruption.as_deref().unwrap_or("deleted");
            return format!("pod {} ends until {ends} ({by})", pod.id);
        }
        let Some(refusal) = self.refusal(pod) else {
            return format!("pod {} is to be evicted", pod.id);
        };
        let covering = self.budgets.iter().filter(|budget| budget.covers(pod));
        let budgets: Vec<&str> = covering.map(|budget| budget.name.as_str()).collect();
        if budgets.is_empty() {
            return format!("pod {}: {}", pod.id, refusal.reason);
        }
        format!(
            "pod {}, PodDisruptionBudget {}: {}",
            pod.id,
            budgets.join(" and "),
            refusal.reason
        )
    }
}

fn listed(texts: impl Iterator<Item = String>, separator: &str) -> String {
    let mut texts: Vec<String> = texts.collect();
    let more = texts.len().saturating_sub(NAMED);
    texts.truncate(NAMED);
    let mut text = texts.join(separator);
    if more > 0 {
        text.push_str(&format!("{separator}and {more} more"));
    }
    text
}

#[cfg(test)]
mod tests;
