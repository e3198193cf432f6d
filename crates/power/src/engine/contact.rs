//! A Machine's status from what its BMC said, and when to ask again.

use std::time::Duration;

use bmc::PowerState;
use jiff::Timestamp;
use resources::Time;
use resources::bmc::{self as api, BmcProtocol, ContactCondition, MachineStatus};

const CONTACTABLE: &str = "Contactable";

/// What a BMC said, and how it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) power: PowerState,
    pub(crate) protocol: BmcProtocol,
    /// Why this protocol.
    pub(crate) reason: String,
}

/// The new status. The condition's time changes only with its status.
pub(crate) fn observed(
    before: Option<&MachineStatus>,
    answer: Result<Said, String>,
    now: Timestamp,
) -> MachineStatus {
    let spoken = answer
        .as_ref()
        .ok()
        .map(|said| (said.protocol, said.reason.clone()));
    let (protocol, protocol_reason) = spoken.unzip();
    let (power, status, message) = match answer.map(|said| said.power) {
        Ok(PowerState::On | PowerState::PoweringOff) => (api::PowerState::On, "True", None),
        Ok(PowerState::Off | PowerState::PoweringOn) => (api::PowerState::Off, "True", None),
        Ok(PowerState::Unknown) => (
            api::PowerState::Unknown,
            "True",
            Some("the BMC tells no power state".to_owned()),
        ),
        Err(problem) => (api::PowerState::Unknown, "False", Some(problem)),
    };
    let held = before.and_then(|before| before.conditions.iter().find(|held| held.kind == CONTACTABLE));
    let since = held
        .filter(|held| held.status == status)
        .and_then(|held| held.last_update_time.clone());
    MachineStatus {
        power_state: Some(power),
        conditions: vec![ContactCondition {
            kind: CONTACTABLE.to_owned(),
            status: status.to_owned(),
            last_update_time: Some(since.unwrap_or(Time(now))),
            message,
        }],
        protocol,
        protocol_reason,
        last_polled: Some(Time(now)),
    }
}

/// How long until the next poll; zero: now.
pub(crate) fn next_poll(
    last: Option<Timestamp>,
    interval: Duration,
    woken: bool,
    now: Timestamp,
) -> Duration {
    let Some(last) = last.filter(|_| !woken) else {
        return Duration::ZERO;
    };
    let age = Duration::try_from(now.duration_since(last)).unwrap_or_default();
    interval.saturating_sub(age)
}

/// Whether the power changed although nothing here asked for it. The first observation is no change.
pub(crate) fn changed(
    before: Option<&MachineStatus>,
    after: &MachineStatus,
) -> Option<(api::PowerState, api::PowerState)> {
    let known = |state: &api::PowerState| *state != api::PowerState::Unknown;
    let before = before.and_then(|status| status.power_state).filter(known)?;
    let after = after.power_state.filter(known)?;
    (before != after).then_some((before, after))
}

/// Why the BMC cannot be spoken to, when that is news: it was well before, or the reason was another.
pub(crate) fn lost<'a>(before: Option<&MachineStatus>, after: &'a MachineStatus) -> Option<&'a str> {
    let why = why(after)?;
    (before.and_then(self::why) != Some(why)).then_some(why)
}

fn why(status: &MachineStatus) -> Option<&str> {
    let held = status.conditions.iter().find(|held| held.kind == CONTACTABLE)?;
    held.message.as_deref().filter(|_| held.status == "False")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(power: PowerState) -> Result<Said, String> {
        Ok(Said {
            power,
            protocol: BmcProtocol::Ipmi,
            reason: "the only one".to_owned(),
        })
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn the_condition_keeps_its_time() {
        let first = observed(None, said(PowerState::Off), at(0));
        assert_eq!(first.protocol, Some(BmcProtocol::Ipmi));
        assert_eq!(first.protocol_reason.as_deref(), Some("the only one"));
        let second = observed(Some(&first), said(PowerState::On), at(60));
        assert_eq!(second.conditions, first.conditions);
        assert_eq!(
            changed(Some(&first), &second),
            Some((api::PowerState::Off, api::PowerState::On))
        );
        let lost = observed(Some(&second), Err("no route".to_owned()), at(120));
        assert_eq!(lost.conditions[0].status, "False");
        assert_eq!(lost.conditions[0].last_update_time, Some(Time(at(120))));
        assert_eq!(
            (lost.power_state, lost.protocol),
            (Some(api::PowerState::Unknown), None)
        );
        assert_eq!(changed(Some(&second), &lost), None);
        assert_eq!(changed(None, &first), None);
    }

    #[test]
    fn a_loss_is_news_once() {
        let fine = observed(None, said(PowerState::Off), at(0));
        let gone = |why: &str| observed(Some(&fine), Err(why.to_owned()), at(60));
        let (mute, locked) = (gone("no route"), gone("password refused"));
        for (before, after, news) in [
            (None, &fine, None),
            (None, &mute, Some("no route")),
            (Some(&fine), &mute, Some("no route")),
            (Some(&mute), &mute, None),
            (Some(&mute), &locked, Some("password refused")),
            (Some(&mute), &fine, None),
        ] {
            assert_eq!(lost(before, after), news);
        }
    }

    #[test]
    fn polls() {
        let minute = Duration::from_secs(60);
        assert_eq!(next_poll(None, minute, false, at(0)), Duration::ZERO);
        assert_eq!(
            next_poll(Some(at(0)), minute, false, at(20)),
            Duration::from_secs(40)
        );
        assert_eq!(next_poll(Some(at(0)), minute, true, at(20)), Duration::ZERO);
        assert_eq!(next_poll(Some(at(0)), minute, false, at(200)), Duration::ZERO);
        assert_eq!(
            next_poll(Some(at(90)), minute, false, at(0)),
            minute,
            "a clock that went back"
        );
    }
}
