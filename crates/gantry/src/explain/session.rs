//! What a boot session looks like in a chain, with the next step where a person has one. Pure.

use jiff::Timestamp;
use resources::gantry::{BootSession, Server, SessionPhase};

use super::line::Line;
use crate::snapshot::word;
use crate::time;

/// Lines below a server, the first ones at this depth.
pub(super) fn lines(server: &Server, depth: usize, now: Timestamp) -> Vec<Line> {
    let line = |depth, text| Line { depth, text };
    let Some(status) = &server.status else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    if let (Some(attempt), Some(session)) = (&server.spec.attempt, &status.boot_session) {
        lines.push(line(depth, of_session(attempt.number, session, now)));
        let below = window(session, now).into_iter().chain(packets(session, now));
        let below = below.chain(rivals(session, now));
        lines.extend(below.map(|text| line(depth + 1, text)));
    }
    lines
}

fn of_session(attempt: u64, session: &BootSession, now: Timestamp) -> String {
    let claimed = session
        .claim
        .as_ref()
        .map_or("nobody claimed it".to_owned(), |claim| {
            format!("claimed {} ago", time::ago(claim.at.0, now))
        });
    let heard = session.last_heard.as_ref().map_or(String::new(), |heard| {
        format!(", agent heard {} ago", time::ago(heard.0, now))
    });
    format!(
        "attempt {attempt}, boot {}: session {}, {claimed}{heard}",
        session.boot,
        word(session.phase)
    )
}

/// What an armed session waits for, and how long.
fn window(session: &BootSession, now: Timestamp) -> Option<String> {
    if !matches!(session.phase, SessionPhase::Arming | SessionPhase::Armed) {
        return None;
    }
    let until = time::until(session.deadline.0, now);
    Some(match &session.started_at {
        // The agent of the boot before was lost; nobody knows whether its machine still runs.
        Some(at) if session.boot > 1 => format!(
            "boot {} began {} ago; its agent is waited for (ends {until})",
            session.boot,
            time::ago(at.0, now)
        ),
        Some(at) => format!(
            "started {} ago; its agent is waited for (ends {until})",
            time::ago(at.0, now)
        ),
        None => format!("not seen to start; power-on or its first packet is waited for (ends {until})"),
    })
}

/// What was heard of the machine since it was armed, and whom else the boot services heard when it was nothing.
fn packets(session: &BootSession, now: Timestamp) -> Vec<String> {
    if let Some(last) = &session.last_packet {
        let ago = time::ago(last.at.0, now);
        return vec![format!("last packet {ago} ago: {}", last.text)];
    }
    if session.claim.is_some() {
        return Vec::new();
    }
    let since = match session.started_at {
        Some(_) if session.boot > 1 => "this boot began",
        Some(_) => "it started",
        None => "it was armed",
    };
    let mut lines = vec![format!(
        "no packet of it since {since}: cable, switch port, MAC in its Hardware, boot order?"
    )];
    if !session.strangers.is_empty() {
        let macs: Vec<String> = session.strangers.iter().map(ToString::to_string).collect();
        lines.push(format!(
            "asked meanwhile, and no Hardware names them: {}",
            macs.join(", ")
        ));
    }
    lines
}

/// What two keys on one machine mean, and what to do.
fn rivals(session: &BootSession, now: Timestamp) -> Option<String> {
    if session.phase == SessionPhase::Frozen {
        return Some(
            "two agents with different keys were alive, so neither is served and the attempt fails: look for a second \
             machine with this MAC address; then a new attempt serves the machine again: a cluster's machine starts one \
             by itself, else create a new Workflow"
                .to_owned(),
        );
    }
    let contender = session.contender.as_ref()?;
    Some(format!(
        "a second agent asked {} ago: after a reset it continues when the first one's lease is over; if the first one \
         is heard again, both are frozen",
        time::ago(contender.at.0, now)
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn server(session: &Value) -> Server {
        let mut base = json!({
            "attempt": 2, "boot": 1, "bootId": "00", "phase": "armed", "armedAt": "2026-01-01T00:00:00Z",
            "deadline": "2026-01-01T00:45:00Z",
        });
        for (key, value) in session.as_object().unwrap() {
            base[key] = value.clone();
        }
        serde_json::from_value(json!({
            "apiVersion": "gantry.dev/v1alpha1", "kind": "Server", "metadata": {"name": "node-1"},
            "spec": {"machineId": "m", "hardware": "node-1", "attempt": {"number": 2, "workflow": "w"}},
            "status": {"bootSession": base},
        }))
        .unwrap()
    }

    fn told(session: &Value) -> Vec<String> {
        let lines = lines(&server(session), 0, "2026-01-01T00:01:00Z".parse().unwrap());
        lines.into_iter().map(|line| line.text).collect()
    }

    fn claim() -> Value {
        json!({"publicKey": key(), "serial": "01", "certificate": "", "at": "2026-01-01T00:00:10Z",
            "notAfter": "2026-01-01T01:00:00Z"})
    }

    fn key() -> String {
        format!("sha256:{}", "a".repeat(64))
    }

    #[test]
    fn an_armed_session_says_what_it_waits_for_and_how_long() {
        let waiting = told(&json!({"deadline": "2026-01-02T00:00:00Z"}));
        assert!(
            waiting[1].starts_with("not seen to start; power-on or its first packet"),
            "{waiting:?}"
        );
        assert!(waiting[2].contains("since it was armed"), "{waiting:?}");
        let silent = told(&json!({"startedAt": "2026-01-01T00:00:20Z"}));
        assert_eq!(
            silent[1],
            "started 40s ago; its agent is waited for (ends in 44m0s)"
        );
        assert!(silent[2].contains("since it started"), "{silent:?}");
        let packet = json!({"at": "2026-01-01T00:00:50Z", "text": "DHCP: DISCOVER"});
        let heard = told(&json!({"startedAt": "2026-01-01T00:00:20Z", "lastPacket": packet}));
        assert_eq!(heard[2], "last packet 10s ago: DHCP: DISCOVER");
        assert_eq!(heard.len(), 3);
    }

    #[test]
    fn a_later_boot_does_not_claim_that_the_machine_was_seen_to_start() {
        let next = told(&json!({"boot": 2, "startedAt": "2026-01-01T00:00:20Z"}));
        assert_eq!(
            next[1],
            "boot 2 began 40s ago; its agent is waited for (ends in 44m0s)"
        );
        assert!(next[2].contains("since this boot began"), "{next:?}");
    }

    #[test]
    fn a_frozen_session_says_what_to_do() {
        let told = told(&json!({"phase": "frozen", "claim": claim()}));
        assert!(told[0].contains("session frozen"), "{told:?}");
        assert!(
            told[1].contains("second machine") && told[1].contains("new Workflow"),
            "{told:?}"
        );
    }

    #[test]
    fn a_second_agent_shows_and_a_quiet_session_has_one_line() {
        let contender = json!({"publicKey": key(), "at": "2026-01-01T00:00:30Z"});
        let held = told(&json!({"phase": "claimed", "claim": claim(), "contender": contender}));
        assert!(held[1].starts_with("a second agent asked 30s ago"), "{held:?}");
        assert_eq!(told(&json!({"phase": "claimed", "claim": claim()})).len(), 1);
    }
}
