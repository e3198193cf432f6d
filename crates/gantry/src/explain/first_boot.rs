//! What the first boot of an installed system looks like in a chain: how far it is, or how it failed and what comes next. Pure.

use jiff::Timestamp;
use kube::ResourceExt;
use resources::Time;
use resources::gantry::{ProviderMachine, Server};

use super::line::Line;
use crate::time;

/// Lines below a server for the first boot of the attempt that is wanted, the first one at this depth.
pub(super) fn lines(server: &Server, depth: usize, now: Timestamp) -> Vec<Line> {
    let line = |depth, text| Line { depth, text };
    let attempt = server.spec.attempt.as_ref().map(|attempt| attempt.number);
    let first = server
        .status
        .as_ref()
        .and_then(|status| status.first_boot.as_ref());
    let Some(first) = first.filter(|first| Some(first.attempt) == attempt) else {
        return Vec::new();
    };
    if let Some(failure) = &first.failure {
        let ago = time::ago(failure.at.0, now);
        let below = failure.lines.iter().map(|text| line(depth + 1, text.clone()));
        return std::iter::once(line(depth, format!("{failure} ({ago} ago)")))
            .chain(below)
            .collect();
    }
    let asked = |at: &Option<Time>| {
        at.as_ref()
            .map_or("not yet".to_owned(), |at| format!("{} ago", time::ago(at.0, now)))
    };
    let stage = first.stage.as_ref().filter(|_| first.revoked_at.is_none());
    let stage = stage.map_or(String::new(), |stage| {
        format!(", at {} for {}", stage.name, time::ago(stage.since.0, now))
    });
    let text = format!(
        "first boot: asked {}, delivered {}{stage}",
        asked(&first.requested_at),
        asked(&first.delivered_at)
    );
    vec![line(depth, text)]
}

/// What follows from a first boot of the machine that failed.
pub(super) fn next(machine: &ProviderMachine) -> Option<String> {
    machine.status.as_ref()?.bootstrap_failure.as_ref()?;
    let name = machine.name_any();
    Some(if machine.is_wanted_anew() {
        "next: it is installed anew on its server".to_owned()
    } else if machine.spec.given_up.is_some() {
        format!(
            "next: another machine takes its place; where none does, because too many have failed, fix the cause, then: gantry \
             retry machine {name}"
        )
    } else {
        format!(
            "next: its cluster decides, once it has looked whether the machine is a node; to put another one in its place: \
             gantry replace machine {name}"
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn lines_of(more: &Value) -> Vec<(usize, String)> {
        let mut first = json!({
            "attempt": 2, "publicKey": format!("sha256:{}", "1".repeat(64)), "serial": "01",
            "notAfter": "2026-02-01T00:00:00Z", "requestedAt": "2026-01-01T00:00:20Z",
        });
        for (key, value) in more.as_object().unwrap() {
            first[key] = value.clone();
        }
        let server = json!({
            "apiVersion": "gantry.dev/v1alpha1", "kind": "Server", "metadata": {"name": "node-1"},
            "spec": {"machineId": "m", "hardware": "node-1", "attempt": {"number": 2, "workflow": "w"}},
            "status": {"firstBoot": first},
        });
        let server = serde_json::from_value(server).unwrap();
        let lines = lines(&server, 0, "2026-01-01T00:01:00Z".parse().unwrap());
        lines.into_iter().map(|line| (line.depth, line.text)).collect()
    }

    fn failure() -> Value {
        json!({"stage": "kubeadm-join", "exitStatus": 1, "lines": ["[preflight] a", "b"], "at": "2026-01-01T00:00:30Z"})
    }

    #[test]
    fn a_first_boot_shows_its_stage_or_how_it_failed() {
        let stage = json!({"name": "containerd", "since": "2026-01-01T00:00:50Z"});
        let delivered = "2026-01-01T00:00:30Z";
        for (more, text) in [
            (json!({}), "first boot: asked 40s ago, delivered not yet"),
            (
                json!({"deliveredAt": delivered, "stage": stage}),
                "first boot: asked 40s ago, delivered 30s ago, at containerd for 10s",
            ),
            (
                json!({"deliveredAt": delivered, "stage": stage, "revokedAt": delivered}),
                "first boot: asked 40s ago, delivered 30s ago",
            ),
        ] {
            assert_eq!(lines_of(&more), [(0, text.to_owned())]);
        }
        let lines = [
            (
                0,
                "first boot failed at kubeadm-join (exit status 1): b (30s ago)",
            ),
            (1, "[preflight] a"),
            (1, "b"),
        ];
        let failed = lines_of(&json!({"failure": failure(), "stage": stage}));
        assert_eq!(failed, lines.map(|(depth, text)| (depth, text.to_owned())));
        assert!(lines_of(&json!({"attempt": 1, "failure": failure()})).is_empty());
    }

    #[test]
    fn what_comes_next_follows_from_what_is_decided() {
        let next_of = |spec: Value, failure: Option<Value>, installation: u64| {
            let mut machine = json!({
                "apiVersion": "gantry.dev/v1alpha1", "kind": "ProviderMachine", "metadata": {"name": "m"},
                "spec": {"provider": "metal", "clusterName": "c", "machine": "m", "imageURL": "x"},
                "status": {"bootstrapFailure": failure, "installation": installation},
            });
            for (key, value) in spec.as_object().unwrap() {
                machine["spec"][key] = value.clone();
            }
            next(&serde_json::from_value(machine).unwrap())
        };
        assert_eq!(next_of(json!({}), None, 1), None);
        for (spec, installation, part) in [
            (json!({}), 1, "gantry replace machine m"),
            (
                json!({"installation": 2}),
                1,
                "it is installed anew on its server",
            ),
            (
                json!({"installation": 2, "givenUp": "why"}),
                2,
                "gantry retry machine m",
            ),
        ] {
            let text = next_of(spec, Some(failure()), installation).unwrap();
            assert!(text.contains(part), "{text}");
        }
    }
}
