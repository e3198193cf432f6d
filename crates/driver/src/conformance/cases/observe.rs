//! O: machines that are looked at.

use std::net::IpAddr;

use http::StatusCode;

use crate::conformance::case::{Case, case};
use crate::conformance::hooks::Hook;
use crate::conformance::proxy::{Fate, Rule};
use crate::conformance::subject::Subject;
use crate::conformance::verdict::{Checked, ensure};
use crate::v1::{AddressKind, Phase, outcome};

pub(super) const CASES: &[Case] = &[
    case!("O1", "says ABSENT of a machine that does not exist", absent),
    case!("O2", "sees that a machine was switched off", switched_off),
    case!(
        "O4",
        "shows no address that only the machine itself can use",
        no_local_addresses
    ),
    case!("O5", "sees that a machine was removed", removed),
    case!("O6", "finds a machine by its owner's mark alone", found_by_mark),
    case!(
        "O8",
        "says nothing of absence when the provider fails",
        failing_provider
    ),
];

async fn absent(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let status = driven.get(&subject.order()).await?;
    ensure!(
        status.phase() == Phase::Absent,
        "its phase is {}",
        status.phase().as_str_name()
    );
    let settled = status.outcome.and_then(|outcome| outcome.outcome);
    ensure!(
        matches!(settled, Some(outcome::Outcome::Settled(_))),
        "GetMachine is not settled"
    );
    Ok(())
}

async fn switched_off(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let mut order = subject.order();
    driven.create(&mut order).await?;
    subject.hook(Hook::PowerOff(order.name())).await?;
    let phase = driven.get(&order).await?.phase();
    ensure!(
        phase == Phase::Stopped,
        "the phase of a machine that is off is {}",
        phase.as_str_name()
    );
    Ok(())
}

async fn no_local_addresses(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let mut order = subject.order();
    driven.create(&mut order).await?;
    for address in driven.get(&order).await?.addresses {
        if address.kind() == AddressKind::Hostname {
            continue;
        }
        let text = &address.address;
        let ip: IpAddr = text.parse().map_err(|_| format!("{text:?} is no address"))?;
        let of_all = ip.is_loopback() || ip.is_unspecified() || ip.is_multicast();
        let link_local = match ip {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        ensure!(!of_all && !link_local, "it shows address {ip}");
    }
    Ok(())
}

async fn removed(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let mut order = subject.order();
    driven.create(&mut order).await?;
    subject.hook(Hook::Remove(order.name())).await?;
    let phase = driven.get(&order).await?.phase();
    ensure!(
        phase == Phase::Absent,
        "the phase of a machine that was removed is {}",
        phase.as_str_name()
    );
    Ok(())
}

async fn found_by_mark(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let mut order = subject.order();
    let made = driven.create(&mut order).await?;
    order.forget();
    let found = driven.get(&order).await?;
    ensure!(
        found.identity == made.identity,
        "without its identity GetMachine finds {:?}",
        found.identity
    );
    Ok(())
}

async fn failing_provider(subject: &Subject) -> Checked {
    let (proxy, scope) = subject.proxied().await?;
    let driven = subject.start().await?;
    let mut order = subject.order_in(scope);
    driven.create(&mut order).await?;
    proxy.follow(None, None);
    driven.get(&order).await?;
    let requests = proxy.requests();
    for from in 0..requests {
        for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::BAD_GATEWAY] {
            let fate = Fate::Answered(status, "text/html", "<html>down</html>");
            proxy.follow(
                Some(Rule {
                    from,
                    count: u32::MAX,
                    fate,
                }),
                None,
            );
            if let Ok(status) = driven.get(&order).await {
                let phase = status.phase();
                ensure!(
                    phase == Phase::Running,
                    "while the provider fails the phase is {}",
                    phase.as_str_name()
                );
            }
        }
    }
    proxy.follow(None, None);
    let phase = driven.get(&order).await?.phase();
    ensure!(
        phase == Phase::Running,
        "when the provider is back the phase is {}",
        phase.as_str_name()
    );
    Ok(())
}
