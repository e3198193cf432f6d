//! Who is a member, and who votes.

use crate::access::Checked;
use crate::observe::observe;
use crate::peer::Deadline;
use crate::protocol::{MemberPromoteRequest, MemberRemoveRequest};
use crate::{Error, EtcdView, Failure, MemberId, Membership};

/// Etcd has one gRPC code for several refusals and tells them apart by their texts, as its own client does.
const BEHIND: &str = "etcdserver: can only promote a learner member which is in sync with leader";

pub(crate) async fn remove(access: &Checked, id: MemberId) -> Result<(), Error> {
    let view = confirmed(access).await?;
    if view.member(id).is_none() {
        return Ok(());
    }
    // A member that removes itself stops, perhaps before it has answered.
    let (_, endpoint) = view
        .serving(|member| member.id != id)
        .or_else(|| view.serving(|_| true))
        .ok_or_else(|| Error::NoQuorum(view.faults()))?;
    let peer = access.peer(endpoint)?;
    let call = async {
        peer.cluster()
            .member_remove(MemberRemoveRequest { id: id.0 })
            .await
    };
    let answer = Deadline::after(access.limit()).call(call).await;
    answer.map(drop).map_err(|source| Error::Call {
        what: format!("remove member {id}"),
        endpoint,
        source,
    })
}

pub(crate) async fn promote(access: &Checked, id: MemberId) -> Result<(), Error> {
    let view = confirmed(access).await?;
    view.member(id).ok_or(Error::NoMember(id))?;
    let (_, endpoint) = view
        .serving(|_| true)
        .ok_or_else(|| Error::NoQuorum(view.faults()))?;
    let peer = access.peer(endpoint)?;
    let call = async {
        peer.cluster()
            .member_promote(MemberPromoteRequest { id: id.0 })
            .await
    };
    match Deadline::after(access.limit()).call(call).await {
        Ok(_) => Ok(()),
        Err(Failure::Refused(text)) if text == BEHIND => Err(Error::LearnerBehind(id)),
        Err(source) => Err(Error::Call {
            what: format!("promote member {id}"),
            endpoint,
            source,
        }),
    }
}

/// A view whose list of members a quorum agreed on.
async fn confirmed(access: &Checked) -> Result<EtcdView, Error> {
    let view = observe(access).await?;
    match &view.membership {
        Membership::Confirmed => Ok(view),
        Membership::Unconfirmed { .. } => Err(Error::NoQuorum(view.faults())),
    }
}
