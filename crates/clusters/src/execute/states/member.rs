//! A member leaves etcd: health of every member asked anew, leadership handed over, member removed. Done when etcd no
//! longer has it.

use steps::Step;

use crate::execute::decision::{Decision, Effect, View, done};
use crate::observe::{EtcdSeen, is_subject};

pub(super) fn decide(view: View<'_>) -> Decision {
    let subject = view.machine();
    match &view.snapshot.etcd {
        EtcdSeen::Members(etcd) => {
            let is_it = |member: &etcd::MemberView| is_subject(view.snapshot, member, subject);
            match etcd.members.iter().any(is_it) {
                true => view
                    .mark()
                    .unwrap_or_else(|| Step::Do(Effect::RemoveMember(subject.to_owned()))),
                false => done(),
            }
        }
        EtcdSeen::Silent(why) => view.wait(format!("{subject}: etcd has no quorum ({why})")),
        EtcdSeen::NotAsked => view.wait(format!("{subject}: etcd was not asked yet")),
    }
}
