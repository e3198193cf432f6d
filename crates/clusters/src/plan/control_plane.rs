//! The control plane of a cluster that exists: one change of etcd at a time, and none that could cost its quorum.

use resources::gantry::PlanStepKind;

use super::balance::Balance;
use super::draft::Draft;
use super::names::Names;
use super::quorum::{can_remove, quorum};
use super::removal::remove;
use super::seen::{EtcdMember, EtcdState, Member, NodeState, Seen, Stage};
use super::verdict::Verdict;
use super::wanted::Pool;

/// What is needed of etcd, and the steps so far.
struct ControlPlane<'a, 'b> {
    draft: &'a mut Draft,
    verdict: &'a mut Verdict,
    seen: &'a Seen,
    pool: &'a Pool,
    names: &'a mut Names<'b>,
}

/// Adds the steps of the control plane.
pub(crate) fn control_plane(
    draft: &mut Draft,
    verdict: &mut Verdict,
    seen: &Seen,
    names: &mut Names<'_>,
    pool: &Pool,
    balance: &Balance<'_>,
) {
    let is_there = |member: &Member| {
        let starts = !member.is_leaving() && seen.founder.as_ref() == Some(&member.name);
        member.has_joined() || starts
    };
    if !seen.of_pool(&pool.name).any(is_there) {
        verdict.block(
            &pool.name,
            "no machine of the control plane is left, so there is no etcd to join; restore one, or delete the cluster and \
             create it anew",
        );
        return;
    }
    ControlPlane {
        draft,
        verdict,
        seen,
        pool,
        names,
    }
    .plan(balance);
}

impl ControlPlane<'_, '_> {
    fn plan(mut self, balance: &Balance<'_>) {
        self.draft.remediates |= !balance.broken.is_empty();
        let go = || balance.broken.iter().chain(&balance.surplus).copied();
        for member in &balance.leaving {
            remove(self.draft, self.verdict, self.seen, member, Vec::new());
        }
        for member in go().filter(|member| !member.has_joined()) {
            // It has not joined, so no quorum depends on it.
            if !self.is_in_etcd(member) {
                self.remove_unjoined(member);
            }
        }
        let etcd = match &self.seen.etcd {
            EtcdState::Members(members) => members.clone(),
            EtcdState::Unknown => {
                if let Some(member) = go().find(|member| member.has_joined()) {
                    self.verdict.block(
                        &member.name,
                        format!(
                            "{} is to go, and etcd does not say who its members are",
                            member.name
                        ),
                    );
                }
                self.join(balance, None, 0);
                return;
            }
        };
        if let Some(stray) = self.stray(&etcd) {
            self.join(balance, Some(stray), 0);
            return;
        }
        let target = go().find(|member| member.has_joined() || self.is_in_etcd(member));
        let Some(target) = target else {
            self.join(balance, None, 0);
            return;
        };
        self.replace(balance, target, &etcd);
    }

    fn is_in_etcd(&self, member: &Member) -> bool {
        self.etcd_member(member).is_some()
    }

    fn etcd_member(&self, member: &Member) -> Option<&EtcdMember> {
        let EtcdState::Members(members) = &self.seen.etcd else {
            return None;
        };
        let is_it = |known: &&EtcdMember| known.machine.as_deref() == Some(member.name.as_str());
        members.iter().find(is_it)
    }

    fn remove_unjoined(&mut self, member: &Member) {
        if member.stage == Stage::Asks && self.seen.etcd == EtcdState::Unknown {
            self.verdict.block(
                &member.name,
                format!(
                    "{} is to go and may be a member of etcd already, and etcd does not say who its members are",
                    member.name
                ),
            );
            return;
        }
        remove(self.draft, self.verdict, self.seen, member, Vec::new());
    }

    /// A member of etcd without a machine: dead, it is taken out; alive, it is somebody else's and left alone.
    fn stray(&mut self, etcd: &[EtcdMember]) -> Option<String> {
        let (mut dead, mut alive) = (None, None);
        for member in etcd.iter().filter(|member| member.machine.is_none()) {
            let slot = if member.healthy { &mut alive } else { &mut dead };
            slot.get_or_insert(member);
        }
        if let Some(member) = alive {
            let name = member.subject();
            self.verdict.block(
                &name,
                format!(
                    "etcd has a member {name} that answers and is on no machine of this cluster; it is left alone: take it \
                     out by hand if it is not wanted (etcdctl member remove {:x})",
                    member.id
                ),
            );
        }
        let member = dead?;
        if !self.may_remove(member, etcd) {
            return None;
        }
        self.draft.remediates = true;
        Some(
            self.draft
                .add(PlanStepKind::RemoveMember, Some(&member.subject()), Vec::new()),
        )
    }

    /// Whether quorum holds without this member; what is blocked is said.
    fn may_remove(&mut self, member: &EtcdMember, etcd: &[EtcdMember]) -> bool {
        if !member.voting {
            return true;
        }
        let voters = etcd.iter().filter(|member| member.voting);
        let healthy = voters.clone().filter(|member| member.healthy).count();
        let voters = voters.count();
        if can_remove(voters, healthy, member.healthy) {
            return true;
        }
        let name = member.subject();
        let why = if voters == 1 {
            format!(
                "{name} is the only member of etcd, so it can't be replaced; repair its machine, or restore a snapshot"
            )
        } else {
            format!(
                "{healthy} of {voters} members of etcd answer, and without {name} fewer than the {} that are needed \
                 would be left",
                quorum(voters.saturating_sub(1))
            )
        };
        self.verdict.block(&name, why);
        false
    }

    /// Takes one member away, after its successor has joined where a host is free for that.
    fn replace(&mut self, balance: &Balance<'_>, target: &Member, etcd: &[EtcdMember]) {
        let Some(member) = self.etcd_member(target).cloned() else {
            // Its node is in the cluster, and etcd does not know it: nothing depends on it.
            remove(self.draft, self.verdict, self.seen, target, Vec::new());
            self.join(balance, None, 0);
            return;
        };
        let others_fail = etcd
            .iter()
            .any(|other| other.voting && !other.healthy && other.id != member.id);
        if member.healthy && others_fail {
            self.verdict.block(
                &target.name,
                format!(
                    "{} stays for now: another member of etcd does not answer",
                    target.name
                ),
            );
            self.join(balance, None, 0);
            return;
        }
        let voters = etcd.iter().filter(|member| member.voting).count();
        let free = self.seen.free.get(&self.pool.name).copied().unwrap_or(0);
        let first = member.healthy && free > 0 && !balance.missing.is_empty();
        // Its successor votes before it goes, so even the only member can be replaced.
        if !first && !self.may_remove(&member, etcd) {
            return;
        }
        let after = if first {
            self.join(balance, None, 1)
        } else {
            Vec::new()
        };
        if member.healthy && member.voting && voters == 3 && !first {
            let left = voters.saturating_sub(1);
            self.draft.requires_approval.get_or_insert_with(|| {
                format!(
                    "{left} voting members of etcd are left while {} is gone, and none of them may fail",
                    target.name
                )
            });
        }
        let gone = self
            .draft
            .add(PlanStepKind::RemoveMember, Some(&target.name), after);
        let mut after = vec![gone.clone()];
        if target.node == NodeState::Ready {
            after = vec![self.draft.add(PlanStepKind::Drain, Some(&target.name), after)];
        }
        self.draft
            .add(PlanStepKind::RemoveMachine, Some(&target.name), after);
        if !first {
            self.join(balance, Some(gone), 0);
        }
    }

    /// Installs what is missing side by side and joins it one after the other; returns what the last join is. With `most`
    /// above zero no more than so many.
    fn join(&mut self, balance: &Balance<'_>, after: Option<String>, most: usize) -> Vec<String> {
        let unjoined = balance.keep.iter().filter(|member| !member.has_joined());
        let mut members: Vec<(String, u32, bool)> = unjoined
            .map(|member| {
                let installed = member.stage != Stage::Installing;
                (member.name.clone(), member.replacement, installed)
            })
            .collect();
        for number in &balance.missing {
            members.push((self.names.next(&self.pool.name), *number, false));
        }
        if most > 0 {
            members.truncate(most);
        }
        let mut last = after;
        for (name, replacement, installed) in members {
            let mut before = Vec::new();
            if !installed {
                let (kind, pool) = (PlanStepKind::Provision, &self.pool.name);
                before.push(self.draft.make(kind, &name, pool, replacement, Vec::new()));
            }
            before.extend(last.take());
            let kind = if self.seen.founder.as_ref() == Some(&name) {
                PlanStepKind::InitControlPlane
            } else {
                PlanStepKind::JoinControlPlane
            };
            last = Some(self.draft.add(kind, Some(&name), before));
        }
        last.into_iter().collect()
    }
}
