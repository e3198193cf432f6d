//! The control plane of a cluster that exists: one change of etcd at a time, and none that could cost its quorum.

use resources::gantry::PlanStepKind;

use super::balance::Balance;
use super::cluster_config::config_step;
use super::draft::Draft;
use super::names::Names;
use super::only_member::{install_anew, is_only_member};
use super::quorum::{can_remove, quorum};
use super::removal::{remove, remove_member};
use super::seen::{ApiState, EtcdMember, EtcdState, Member, NodeState, Seen, Stage};
use super::successor::{Successor, before_removal};
use super::verdict::Verdict;
use super::wanted::Pool;

/// What is needed of etcd, and the steps so far.
struct ControlPlane<'a, 'b> {
    draft: &'a mut Draft,
    verdict: &'a mut Verdict,
    seen: &'a Seen,
    pool: &'a Pool,
    names: &'a mut Names<'b>,
    balance: &'a Balance<'a>,
    /// Machines that are there, or are made by the steps so far, and that no step takes away.
    there: usize,
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
    for member in &balance.leaving {
        remove(draft, verdict, seen, member, Vec::new());
    }
    let staying = || seen.of_pool(pool).filter(|member| !member.is_leaving());
    let is_founder = |member: &Member| seen.founder.as_ref() == Some(&member.name);
    if !staying().any(|member| member.has_joined() || is_founder(member)) {
        let reason = match seen.api {
            ApiState::Answers => {
                "the cluster answers, and none of the machines of its control plane is known here, as after a restore of \
                 older data: restore newer data"
            }
            _ => {
                "no machine of the control plane is left, so there is no etcd to join; restore one, or delete the cluster \
                 and create it anew"
            }
        };
        verdict.block(&pool.name, reason);
        return;
    }
    let there = staying().count();
    ControlPlane {
        draft,
        verdict,
        seen,
        pool,
        names,
        balance,
        there,
    }
    .plan();
}

impl ControlPlane<'_, '_> {
    fn plan(mut self) {
        let balance = self.balance;
        self.draft.remediates |= !balance.broken.is_empty();
        let go = || balance.broken.iter().chain(&balance.surplus).copied();
        let EtcdState::Members(etcd) = &self.seen.etcd else {
            for member in go() {
                self.remove_unseen(member);
            }
            return self.join_all(None);
        };
        let may_vote = |member: &&Member| member.has_joined() || in_etcd(member, etcd).is_some();
        // What has not joined carries no quorum, unless it joins before its power is off.
        for member in go().filter(|member| !may_vote(member)) {
            match member.joining && member.failure.is_none() {
                true => self.wait_for_join(member),
                false => self.remove(member),
            }
        }
        if self.seen.api != ApiState::Answers {
            // Says so of each.
            for member in go().filter(may_vote) {
                self.remove(member);
            }
            return self.join_all(None);
        }
        if let Some(stray) = self.stray(etcd) {
            return self.join_all(Some(stray));
        }
        // Those that etcd does without go first: it can't spare another one while they are in it.
        let target = go()
            .filter(may_vote)
            .min_by_key(|member| in_etcd(member, etcd).map(|member| (member.voting, member.healthy)));
        if let Some(target) = target
            && let Some(joins) = self.joins_beside(target)
        {
            let reason = format!(
                "{} does not work, and stays until {} has joined, or its time for that is over: what a join costs the other \
                 members may be the cause",
                target.name, joins.name
            );
            self.verdict.block(&target.name, reason);
            return self.join_all(None);
        }
        match target.map(|target| (target, in_etcd(target, etcd))) {
            None => self.join_all(None),
            // Its node is in the cluster, and etcd does not know it: nothing depends on it.
            Some((target, None)) => {
                self.remove(target);
                self.join_all(None);
            }
            Some((target, Some(member))) if member.voting && member.healthy => {
                self.replace(target, member, etcd);
            }
            Some((target, Some(member))) => {
                let gone = match self.may_remove(member, etcd) {
                    true => Some(self.take_away(target, Vec::new())),
                    false => None,
                };
                self.join_all(gone);
            }
        }
    }

    fn remove(&mut self, member: &Member) {
        let gone = remove(self.draft, self.verdict, self.seen, member, Vec::new());
        self.there = self.there.saturating_sub(usize::from(gone.is_some()));
    }

    /// The machine that joins etcd at this moment, beside a member that counts as dead. What a person wants is not put off.
    fn joins_beside(&self, target: &Member) -> Option<&Member> {
        let is_down = matches!(target.node, NodeState::Down { .. }) || target.etcd_down.is_some();
        let is_dead = is_down && !target.unwanted && target.failure.is_none();
        let mut members = self.seen.of_pool(self.pool);
        let joins = members.find(|member| member.joining && member.failure.is_none() && !member.is_leaving());
        joins.filter(|_| is_dead)
    }

    fn wait_for_join(&mut self, member: &Member) {
        let name = &member.name;
        let reason = format!(
            "{name} is to go, and joins etcd at this moment: it goes when it has joined, or when its time for that is over"
        );
        self.verdict.block(name, reason);
    }

    /// A machine that is to go while etcd does not say who its members are: only one that was never given what makes it
    /// one.
    fn remove_unseen(&mut self, member: &Member) {
        let name = &member.name;
        let may_be = match member.stage {
            Stage::Installing | Stage::Leaving => return self.remove(member),
            Stage::Asks => " and may be a member of etcd already",
            Stage::Joined => "",
        };
        let reason = format!("{name} is to go{may_be}, and etcd does not say who its members are");
        self.verdict.block(name, reason);
    }

    /// A member of etcd without a machine: dead, or on a machine that is being given back, it is taken out; alive, it is
    /// somebody else's and left alone.
    fn stray(&mut self, etcd: &[EtcdMember]) -> Option<String> {
        let leaves = |member: &EtcdMember| {
            let mut leaving = self.balance.leaving.iter();
            leaving.any(|machine| member.machine.as_ref() == Some(&machine.name))
        };
        let (mut goes, mut alive) = (None, None);
        for member in etcd {
            let slot = match (&member.machine, member.healthy) {
                (Some(_), _) if !leaves(member) => continue,
                (None, true) => &mut alive,
                _ => &mut goes,
            };
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
        let member = goes?;
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
                "{name} is the only member of etcd, so it can't be taken away; repair its machine, or add a server that the machine \
                 configuration of the control plane selects"
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

    /// Takes a healthy voter away: after its successors have joined where they have hosts, so that even the only member
    /// can be replaced, else before.
    fn replace(&mut self, target: &Member, member: &EtcdMember, etcd: &[EtcdMember]) {
        let name = &target.name;
        if etcd.iter().any(|other| other.voting && !other.healthy) {
            let reason = format!("{name} stays for now: another member of etcd does not answer");
            self.verdict.block(name, reason);
            return self.join_all(None);
        }
        let free = self.draft.spares.left(&self.pool.name);
        let more = usize::from(free.is_some_and(|free| free > 0));
        let fits = self.there <= self.pool.count;
        let before = before_removal(self.successors(more), free, fits);
        if !before.is_empty() {
            let joined = self.join(before, None);
            let gone = self.take_away(target, joined.into_iter().collect());
            let made = self.successors(0).into_iter();
            let others = made.filter(|one| one.name.as_ref().is_some_and(|name| !self.draft.joins(name)));
            let others = others.collect();
            self.join(others, Some(gone));
            return;
        }
        if is_only_member(self.seen, target) && self.pool.plugin.is_some() {
            let reason = format!(
                "{name} stays for now: it is the only member of the control plane, and its driver can't make another one"
            );
            return self.verdict.block(name, reason);
        }
        if is_only_member(self.seen, target) && free.is_some() {
            let mut made = self.balance.keep.iter();
            let next = made.find(|member| !member.has_joined()).copied();
            install_anew(
                self.draft,
                self.seen,
                self.names,
                self.pool,
                (target, next),
                Vec::new(),
            );
            return;
        }
        if !self.may_remove(member, etcd) {
            return self.join_all(None);
        }
        let left = etcd
            .iter()
            .filter(|member| member.voting)
            .count()
            .saturating_sub(1);
        if left == 2 {
            self.draft.requires_approval.get_or_insert_with(|| {
                format!(
                    "{left} voting members of etcd are left while {name} is gone, and none of them may fail"
                )
            });
        }
        let gone = self.take_away(target, Vec::new());
        self.join_all(Some(gone));
    }

    /// Returns the id of the first step.
    fn take_away(&mut self, target: &Member, after: Vec<String>) -> String {
        self.there = self.there.saturating_sub(1);
        remove_member(self.draft, target, after).first
    }

    /// The machines that have not joined, and those that are to be made: so many that with those that are there no more
    /// than `more` above the wanted number are.
    fn successors(&self, more: usize) -> Vec<Successor> {
        let made = self.balance.keep.iter().filter(|member| !member.has_joined());
        let mut made: Vec<&Member> = made.copied().collect();
        // One that etcd knows, or that etcd is about to know, comes first: while it is silent no other one can join, and its time
        // has to begin.
        made.sort_by_key(|member| !(member.joining || self.is_in_etcd(&member.name)));
        let spares = &self.draft.spares;
        let made = made
            .into_iter()
            .map(|member| Successor::made(member, spares.has_host(member)));
        let room = self.pool.count.saturating_add(more).saturating_sub(self.there);
        let missing = self.balance.missing.iter().take(room);
        made.chain(missing.map(|number| Successor::new(*number, false)))
            .collect()
    }

    /// Whether a machine that has not joined is the founder, at work on its `kubeadm init`. One that was installed anew since
    /// joins as others do.
    fn has_started(&self, name: &str) -> bool {
        let is_founder = self.seen.founder.as_deref() == Some(name);
        let runs_etcd = match &self.seen.etcd {
            EtcdState::Members(_) => self.is_in_etcd(name),
            EtcdState::Unknown => !self.seen.of_pool(self.pool).any(Member::has_joined),
        };
        is_founder && runs_etcd
    }

    fn is_in_etcd(&self, name: &str) -> bool {
        let is_it = |known: &EtcdMember| known.machine.as_deref() == Some(name);
        matches!(&self.seen.etcd, EtcdState::Members(etcd) if etcd.iter().any(is_it))
    }

    fn join_all(&mut self, after: Option<String>) {
        let all = self.successors(0);
        self.join(all, after);
    }

    /// Installs side by side and joins one after the other; returns what the last join is.
    fn join(&mut self, successors: Vec<Successor>, after: Option<String>) -> Option<String> {
        let mut last = after;
        for successor in successors {
            let name = successor.name.unwrap_or_else(|| {
                self.there = self.there.saturating_add(1);
                self.draft.spares.take(&self.pool.name);
                self.names.next(&self.pool.name)
            });
            let mut before = Vec::new();
            if !successor.installed {
                let (kind, number) = (PlanStepKind::Provision, successor.replacement);
                before.push(self.draft.make(kind, &name, &self.pool.name, number, Vec::new()));
            }
            let kind = match self.has_started(&name) {
                true => PlanStepKind::InitControlPlane,
                false => PlanStepKind::JoinControlPlane,
            };
            if kind == PlanStepKind::JoinControlPlane {
                before.extend(config_step(self.draft, self.seen, self.pool));
            }
            before.extend(last.take());
            last = Some(self.draft.add(kind, Some(&name), before));
        }
        last
    }
}

/// The member of etcd that runs on a machine.
fn in_etcd<'a>(member: &Member, etcd: &'a [EtcdMember]) -> Option<&'a EtcdMember> {
    let is_it = |known: &&EtcdMember| known.machine.as_deref() == Some(member.name.as_str());
    etcd.iter().find(is_it)
}
