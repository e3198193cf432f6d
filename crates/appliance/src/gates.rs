//! The gates of the listeners: who is known at which, and how refusals become records.

use std::net::IpAddr;
use std::sync::Arc;

use boot_script::{EventSender, Lookup, ViewHandle};
use jiff::Timestamp;
use listeners::{Gate, Notice, Shares};
use resources::{BootEvent, BootEventKind};

/// A gate for machines: whoever has an address that a Hardware reserves is known.
pub(crate) fn for_machines(
    listener: &'static str,
    shares: Shares,
    view: &Arc<ViewHandle>,
    events: &EventSender,
) -> Gate {
    let (view, recorded, events) = (view.clone(), view.clone(), events.clone());
    // An address that two Hardware objects name is nobody's, but one of them stands behind it.
    let known = move |address: IpAddr| {
        matches!(
            view.load().peer(address).lookup(),
            Lookup::Known(_) | Lookup::Ambiguous(_)
        )
    };
    let heard = move |notice: Notice| {
        let peer = notice.address.map(|address| recorded.load().peer(address));
        let target = peer.as_ref().and_then(boot_script::Peer::target);
        events.send(
            target.map(AsRef::as_ref),
            Timestamp::now(),
            refusal(listener, notice),
        );
    };
    Gate::new(listener, shares, known, heard)
}

/// The gate of the Kubernetes API: whoever is on this machine is known, others are after a login.
pub(crate) fn for_api(shares: Shares, events: &EventSender) -> Gate {
    let (listener, events) = ("Kubernetes API", events.clone());
    let heard = move |notice: Notice| events.send(None, Timestamp::now(), refusal(listener, notice));
    Gate::new(listener, shares, |address| address.is_loopback(), heard)
}

fn refusal(listener: &str, notice: Notice) -> BootEvent {
    let Notice {
        address,
        reason,
        count,
    } = notice;
    let connections = if count == 1 { "connection" } else { "connections" };
    let of = if address.is_some() {
        ""
    } else {
        " of many addresses"
    };
    BootEvent {
        kind: BootEventKind::Refusal,
        mac: None,
        peer: address.map(|address| address.to_string()),
        text: format!("{listener}: {count} {connections}{of} {}", reason.text()),
    }
}

#[cfg(test)]
mod tests {
    use boot_script::{BootTarget, BootView, MachineFacts};
    use resources::tinkerbell::{Dhcp, HardwareInterface, HardwareSpec, Ip};

    use super::*;

    fn view(address: &str) -> BootView {
        let interface = HardwareInterface {
            dhcp: Some(Dhcp {
                mac: Some("52:54:00:00:00:01".parse().unwrap()),
                ip: Some(Ip {
                    address: Some(address.into()),
                    ..Ip::default()
                }),
                ..Dhcp::default()
            }),
            ..HardwareInterface::default()
        };
        let hardware = HardwareSpec {
            interfaces: vec![interface],
            ..HardwareSpec::default()
        };
        BootView::new(BootTarget::all_of(MachineFacts::new(
            "eksa-system",
            "node-1",
            hardware,
            None,
        )))
    }

    #[test]
    fn reserved_addresses_are_known_as_soon_as_the_view_has_them_and_refusals_are_records() {
        let (events, mut queue) = EventSender::channel(10);
        let handle = ViewHandle::new();
        let shares = Shares {
            per_stranger: 1,
            per_known: 1,
            ..netboot::SHARES
        };
        let gate = for_machines("HTTP", shares, &handle, &events);
        let (machine, stranger) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        assert!(!gate.enter(machine).unwrap().is_known());
        handle.store(view("192.0.2.1"));
        let place = gate.enter(machine).unwrap();
        assert!(place.is_known() && !gate.enter(stranger).unwrap().is_known());
        for _ in 0..100 {
            assert!(gate.enter(machine).is_none());
        }
        let event = queue.try_recv().unwrap();
        assert_eq!(
            (event.machine.as_str(), event.event.kind),
            ("node-1", BootEventKind::Refusal)
        );
        assert_eq!(
            event.event.text,
            "HTTP: 1 connection refused: this address has too many connections open"
        );
        assert!(
            queue.try_recv().is_err(),
            "one record, not one for each connection"
        );
    }
}
