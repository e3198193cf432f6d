//! Handing leadership over. Only the leader takes this call.

use crate::access::Checked;
use crate::observe::observe;
use crate::peer::Deadline;
use crate::protocol::MoveLeaderRequest;
use crate::{Error, MemberId};

pub(crate) async fn hand_over(access: &Checked, to: MemberId) -> Result<(), Error> {
    let view = observe(access).await?;
    if view.leader == Some(to) {
        return Ok(());
    }
    view.member(to).ok_or(Error::NoMember(to))?;
    let leader = view.leader.and_then(|leader| view.member(leader));
    let endpoint = leader
        .and_then(|leader| leader.status.as_ref())
        .map(|status| status.endpoint)
        .ok_or_else(|| Error::NoLeader(view.faults()))?;
    let peer = access.peer(endpoint)?;
    let call = async {
        peer.maintenance()
            .move_leader(MoveLeaderRequest { target_id: to.0 })
            .await
    };
    let answer = Deadline::after(access.limit()).call(call).await;
    answer.map(drop).map_err(|source| Error::Call {
        what: format!("make member {to} the leader"),
        endpoint,
        source,
    })
}
