//! D: machines that go.

use futures::future::join_all;

use crate::conformance::case::{Case, case};
use crate::conformance::hooks::Hook;
use crate::conformance::subject::Subject;
use crate::conformance::verdict::{Checked, ensure};
use crate::fault::Fault;
use crate::v1::{Capability, Phase, Power, Reason};

pub(super) const CASES: &[Case] = &[
    case!(
        "D1",
        "deletes a machine that runs, and leaves nothing",
        deletes_running
    ),
    case!("D2", "deletes a machine that is off", deletes_stopped),
    case!(
        "D3",
        "deletes a machine that is just being made",
        deletes_half_made
    ),
    case!("D4", "deletes a machine in calls at once", deletes_at_once),
    case!(
        "D5",
        "says DELETED of a machine that does not exist",
        deletes_nothing
    ),
    case!(
        "D6",
        "does not delete a stranger's machine of the same name",
        deletes_no_stranger
    ),
];

async fn deletes_running(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let before = subject.count(Hook::CountObjects).await.ok();
    let mut order = subject.order();
    driven.create(&mut order).await?;
    driven.delete(&mut order).await?;
    let phase = driven.get(&order).await?.phase();
    let gone = matches!(phase, Phase::Absent | Phase::Deleted);
    ensure!(
        gone,
        "the phase of a machine that was deleted is {}",
        phase.as_str_name()
    );
    let listed = driven.list(&order.scope, &subject.owner()).await?.len();
    ensure!(listed == 0, "the list still has {listed} machines");
    subject.none_are_left(before).await
}

async fn deletes_stopped(subject: &Subject) -> Checked {
    subject.require(Capability::PowerControl)?;
    let driven = subject.start().await?;
    let mut order = subject.order();
    driven.create(&mut order).await?;
    driven.machines().set_power(order.power(Power::Off)).await?;
    driven.delete(&mut order).await?;
    let listed = driven.list(&order.scope, &subject.owner()).await?.len();
    ensure!(listed == 0, "the list still has {listed} machines");
    Ok(())
}

async fn deletes_half_made(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let mut order = subject.order();
    driven.create_once(&mut order).await?;
    driven.delete(&mut order).await?;
    let listed = driven.list(&order.scope, &subject.owner()).await?.len();
    ensure!(listed == 0, "the list still has {listed} machines");
    Ok(())
}

async fn deletes_at_once(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let mut order = subject.order();
    driven.create(&mut order).await?;
    let calls = (0..5).map(|_| {
        let mut order = order.clone();
        let driven = &driven;
        async move { driven.delete(&mut order).await }
    });
    for deleted in join_all(calls).await {
        deleted?;
    }
    Ok(())
}

async fn deletes_nothing(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    driven.delete(&mut subject.order()).await
}

async fn deletes_no_stranger(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let mut order = subject.order();
    subject.hook(Hook::CreateForeign(order.name())).await?;
    let before = subject.count(Hook::CountObjects).await?;
    let answer = driven.delete_once(&mut order).await;
    let after = subject.count(Hook::CountObjects).await?;
    ensure!(before == after, "there were {before} objects, and now {after}");
    // Nothing bears the mark, so DELETED is true as well.
    match answer {
        Ok(status) if status.phase() == Phase::Deleted => Ok(()),
        Ok(status) => Err(format!(
            "DeleteMachine answers with phase {}",
            status.phase().as_str_name()
        )
        .into()),
        Err(status) if Fault::from(&status).reason() == Reason::Foreign => Ok(()),
        Err(status) => Err(status.into()),
    }
}
