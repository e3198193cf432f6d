//! What nodes of a played cluster do with Pods that renew certificates.

use clusters::RenewalState;

use crate::played::Inside;
use crate::renewals::Renews;

impl Inside {
    /// The node at an address takes one step with the Pods that are on it.
    pub(crate) fn renew_on(&mut self, node: &str, address: &str) {
        if !self.nodes.get(node).is_some_and(|node| node.ready) {
            return;
        }
        self.renewals.silence = self.renewals.silence.saturating_sub(1);
        let name = self.renewals.pods.iter().find(|(_, pod)| pod.node == node);
        let Some((name, pod)) = name.map(|(name, pod)| (name.clone(), pod)) else {
            return;
        };
        if pod.deleting {
            self.member(node, true);
            self.renewals.pods.remove(&name);
            return;
        }
        let next = self
            .renewals
            .next
            .get(node)
            .and_then(|next| next.front().copied());
        let state = match (&pod.state, next.unwrap_or(Renews::Well)) {
            (RenewalState::Waits(_), _) => {
                // Its etcd restarts first.
                self.member(node, false);
                RenewalState::Runs
            }
            (RenewalState::Runs, Renews::Hangs) => {
                self.member(node, true);
                return;
            }
            (RenewalState::Runs, how) => {
                self.member(node, true);
                if let Some(next) = self.renewals.next.get_mut(node) {
                    next.pop_front();
                }
                match self.end_of(node, address, how) {
                    Some(state) => state,
                    None => return drop(self.renewals.pods.remove(&name)),
                }
            }
            (RenewalState::Done(_) | RenewalState::Failed(_), _) => return,
        };
        if let Some(pod) = self.renewals.pods.get_mut(&name) {
            pod.state = state;
        }
    }

    /// How a Pod on a node ends; `None` when it is gone.
    fn end_of(&mut self, node: &str, address: &str, how: Renews) -> Option<RenewalState> {
        if how == Renews::Fails {
            return Some(RenewalState::Failed(
                "restarting etcd; etcd was not restarted within 180 s".to_owned(),
            ));
        }
        let before = self.renewals.certificates[address];
        let made = self.renewals.make(address);
        self.log.push(format!("renew {node}"));
        if how == Renews::ShowsOldOnes {
            self.renewals.certificates.insert(address.to_owned(), before);
        }
        let report = format!(
            "kube-apiserver {}\netcd {}\n",
            made.api.sha256.hex(),
            made.etcd.sha256.hex()
        );
        (how != Renews::Vanishes).then_some(RenewalState::Done(report))
    }

    /// The member on a node goes and comes. Without another one the API is silent meanwhile, and a turn longer.
    fn member(&mut self, node: &str, alive: bool) {
        if self.voters().0 == 1 {
            self.renewals.silence = if alive { self.renewals.silence } else { 3 };
            return;
        }
        for voter in self.etcd.values_mut().filter(|voter| voter.name == node) {
            voter.alive = alive;
        }
        self.check_quorum();
    }
}
