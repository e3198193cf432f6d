//! What the boot services heard of a machine while it is armed: the owner of the Server keeps it in the session, so that
//! everybody can tell a machine that never asked from one that got stuck on its way.

use jiff::Timestamp;
use resources::gantry::{BootSession, LastPacket, SessionPhase};
use resources::{Mac, Time};

/// Strangers that are kept.
const STRANGERS: usize = 4;

/// The session with what was heard: the machine's last packet that counts ([`super::Window::hears_from`]), else the
/// strangers that asked since it was armed (the newest first).
#[must_use]
pub fn hearing(
    session: &BootSession,
    from: Option<Timestamp>,
    last: Option<(Timestamp, String)>,
    strangers: impl FnOnce(Timestamp) -> Vec<Mac>,
) -> BootSession {
    let mut session = session.clone();
    if !matches!(session.phase, SessionPhase::Arming | SessionPhase::Armed) {
        session.strangers.clear();
        return session;
    }
    let counts = |at: Timestamp| from.is_some_and(|from| at >= from);
    if let Some((at, text)) = last.filter(|(at, _)| counts(*at)) {
        session.last_packet = Some(LastPacket { at: Time(at), text });
    }
    if session.last_packet.is_some() {
        session.strangers.clear();
    } else {
        for mac in strangers(session.armed_at.0) {
            if session.strangers.len() < STRANGERS && !session.strangers.contains(&mac) {
                session.strangers.push(mac);
            }
        }
    }
    session
}

#[cfg(test)]
mod tests {
    use super::super::samples::{at, session};
    use super::*;

    fn mac(last: u8) -> Mac {
        Mac::new([2, 0, 0, 0, 0, last])
    }

    #[test]
    fn strangers_stand_in_until_the_machine_is_heard() {
        let armed = session(SessionPhase::Armed);
        let lonely = hearing(&armed, Some(at(0)), Some((at(-5), "old".into())), |since| {
            assert_eq!(since, at(0));
            (1..=6).map(mac).collect()
        });
        assert_eq!(
            lonely.last_packet, None,
            "what came before the start proves nothing"
        );
        let early = hearing(&armed, None, Some((at(5), "old".into())), |_| Vec::new());
        assert_eq!(early.last_packet, None, "nor what comes before our power-on");
        assert_eq!(lonely.strangers, [mac(1), mac(2), mac(3), mac(4)]);
        // A stranger that is forgotten by the boot services stays.
        assert_eq!(hearing(&lonely, Some(at(0)), None, |_| Vec::new()), lonely);
        let packet = Some((at(7), "DHCP: DISCOVER".to_owned()));
        let heard = hearing(&lonely, Some(at(0)), packet, |_| vec![mac(9)]);
        let packet = heard.last_packet.clone().unwrap();
        assert_eq!((packet.at.0, packet.text.as_str()), (at(7), "DHCP: DISCOVER"));
        assert!(heard.strangers.is_empty());
        // After a restart of the appliance nothing is lost.
        assert_eq!(hearing(&heard, Some(at(0)), None, |_| vec![mac(9)]), heard);
    }

    #[test]
    fn a_claimed_session_hears_nothing_more() {
        let mut held = session(SessionPhase::Claimed);
        held.strangers = vec![mac(1)];
        let packet = Some((at(7), "DHCP: REQUEST".to_owned()));
        let after = hearing(&held, Some(at(0)), packet, |_| vec![mac(2)]);
        assert_eq!((after.last_packet, after.strangers), (None, vec![]));
    }
}
