//! The chain from a cluster down to the packet, as lines. Pure: a snapshot, records and the time in, lines out.

mod provider;
mod server;

use jiff::Timestamp;
use kube::ResourceExt;
use resources::Time;
use resources::anywhere::{ClusterStatus, EtcdDrillOutcome};
use resources::gantry::{Plan, StepState};

use super::evidence::{Evidence, Record};
use super::line::Line;
use super::target::Target;
use crate::snapshot::{Snapshot, word};
use crate::time;

/// Records that are shown of each kind.
const SHOWN: usize = 8;

/// Collects lines and, on the way, what the deepest waiting object waits for.
struct Chain<'a> {
    snapshot: &'a Snapshot,
    evidence: &'a Evidence,
    now: Timestamp,
    lines: Vec<Line>,
    waits: Option<String>,
}

/// The chain of a target.
pub(crate) fn chain(snapshot: &Snapshot, evidence: &Evidence, target: &Target, now: Timestamp) -> Vec<Line> {
    let mut chain = Chain {
        snapshot,
        evidence,
        now,
        lines: Vec::new(),
        waits: None,
    };
    match target {
        Target::Cluster(name) => chain.cluster(name),
        Target::ProviderMachine(name) => {
            if let Some(machine) = snapshot
                .provider_machines
                .iter()
                .find(|machine| machine.name_any() == *name)
            {
                chain.provider_machine(0, machine);
            }
        }
        Target::Server(name) => chain.user_of(name),
        Target::Unknown(address) => chain.stranger(address),
    }
    if let Some(waits) = chain.waits.take() {
        chain.say(0, format!("Gantry waits for: {waits}"));
    }
    chain.lines
}

impl<'a> Chain<'a> {
    fn say(&mut self, depth: usize, text: impl Into<String>) {
        self.lines.push(Line {
            depth,
            text: text.into(),
        });
    }

    /// State, since when, why, until when; remembered when it is a wait.
    fn state(
        &mut self,
        state: &str,
        since: Option<&Time>,
        reason: Option<&str>,
        deadline: Option<&Time>,
    ) -> String {
        let mut text = state.to_owned();
        if let Some(since) = since {
            text = format!("{text} for {}", time::ago(since.0, self.now));
        }
        if let Some(reason) = reason {
            text = format!("{text}: {reason}");
        }
        if let Some(deadline) = deadline {
            let until = time::until(deadline.0, self.now);
            text = format!("{text} (deadline {until})");
            if let Some(reason) = reason {
                self.waits = Some(format!("{reason} (deadline {until})"));
            }
        }
        text
    }

    fn cluster(&mut self, name: &str) {
        let snapshot = self.snapshot;
        let Some(cluster) = snapshot.cluster(name) else {
            return;
        };
        let status = cluster.status.clone().unwrap_or_default();
        let phase = status
            .phase
            .as_deref()
            .unwrap_or("not seen by the coordinator yet");
        let reason = status.failure_message.as_deref().or(status.reason.as_deref());
        let state = self.state(phase, status.since.as_ref(), reason, status.deadline.as_ref());
        self.say(0, format!("Cluster {name}: {state}"));
        for condition in status
            .conditions
            .iter()
            .filter(|condition| condition.status != "True")
        {
            let text = format!(
                "condition {}: {} {}",
                condition.type_, condition.status, condition.message
            );
            self.say(1, text.trim_end());
        }
        self.drills(&status);
        if let Some(plan) = snapshot.plan_of(name) {
            self.plan(plan);
        }
        if let Some(object) = snapshot.provider_cluster(name) {
            self.provider_cluster(object);
        }
        for machine in snapshot.provider_machines_of(name) {
            self.provider_machine(1, machine);
        }
    }

    /// Rehearsals of a restore; the condition has what came of one that did not pass.
    fn drills(&mut self, status: &ClusterStatus) {
        let Some(drills) = &status.etcd_drills else {
            return;
        };
        if let Some(under_way) = &drills.under_way {
            let ago = time::ago(under_way.started_at.0, self.now);
            let stage = under_way.stage.text();
            self.say(1, format!("etcd drill for {ago}: {stage}"));
        }
        let last = drills.last.as_ref();
        if let Some(last) = last.filter(|last| last.outcome == EtcdDrillOutcome::Passed) {
            let ago = time::ago(last.ended_at.0, self.now);
            self.say(1, format!("etcd drill passed {ago} ago: {}", last.summary()));
        }
    }

    fn plan(&mut self, plan: &Plan) {
        let status = plan.status.clone().unwrap_or_default();
        let state = self.state(
            &word(status.phase),
            status.since.as_ref(),
            status.reason.as_deref(),
            None,
        );
        self.say(
            1,
            format!("Plan {} ({}): {state}", plan.name_any(), word(plan.spec.class)),
        );
        for step in &plan.spec.steps {
            let at = status.steps.iter().find(|known| known.id == step.id);
            let text = match at {
                Some(at) if at.state == StepState::Running => self.state(
                    "running",
                    at.started_at.as_ref(),
                    at.reason.as_deref(),
                    at.deadline.as_ref(),
                ),
                Some(at) if at.state == StepState::Failed => {
                    self.state("failed", None, at.reason.as_deref(), None)
                }
                Some(at) => word(at.state),
                None => "pending".to_owned(),
            };
            self.say(2, format!("{}: {text}", step.text(1)));
        }
    }

    fn user_of(&mut self, name: &str) {
        let snapshot = self.snapshot;
        let user = snapshot
            .provider_machines
            .iter()
            .find(|machine| machine.status.as_ref().and_then(|status| status.host.as_deref()) == Some(name));
        match user {
            Some(machine) => {
                self.say(0, format!("Cluster {}", machine.spec.cluster_name));
                self.provider_machine(1, machine);
            }
            None => self.server(0, name),
        }
    }

    fn records(&mut self, depth: usize, machine: &str) {
        let evidence = self.evidence;
        if let Some(lines) = evidence.actions.get(machine).filter(|lines| !lines.is_empty()) {
            self.say(depth, "last lines of actions:");
            self.times(depth + 1, lines, |record| {
                format!("{}: {}", record.text("action"), record.text("text"))
            });
        }
        match evidence.boot.get(machine).filter(|events| !events.is_empty()) {
            Some(events) => {
                self.say(depth, "last boot events:");
                self.times(depth + 1, events, |record| {
                    format!("{}: {}", record.text("kind"), record.text("text"))
                });
            }
            None => self.say(depth, "no packet of it was ever seen"),
        }
    }

    fn times(&mut self, depth: usize, records: &[Record], text: impl Fn(&Record) -> String) {
        let mut shown: Vec<&Record> = records.iter().take(SHOWN).collect();
        shown.reverse();
        for record in shown {
            let line = format!(
                "{} ({} ago) {}",
                record.time,
                time::ago(record.time, self.now),
                text(record)
            );
            self.say(depth, line);
        }
    }

    fn stranger(&mut self, address: &str) {
        self.say(
            0,
            format!("{address}: no Hardware has it; `gantry apply hardware -z FILE` imports machines"),
        );
        self.records(1, address);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::target::tests::snapshot;
    use super::*;

    fn at() -> Timestamp {
        "2026-01-01T00:01:00Z".parse().unwrap()
    }

    fn text(target: &Target, evidence: &Evidence) -> String {
        let lines = chain(&snapshot(), evidence, target, at());
        lines
            .iter()
            .map(|line| format!("{}{}\n", "  ".repeat(line.depth), line.text))
            .collect()
    }

    fn evidence(machine: &str) -> Evidence {
        let record = Record {
            machine: machine.to_owned(),
            time: "2026-01-01T00:00:50Z".parse().unwrap(),
            data: json!({"kind": "Dhcp", "text": "DISCOVER, offered 10.0.0.5"}),
        };
        let mut evidence = Evidence::default();
        evidence.boot.insert(machine.to_owned(), vec![record]);
        evidence
    }

    #[test]
    fn a_machine_is_explained_from_the_cluster_down_to_the_packet() {
        let text = text(&Target::Server("node-1".into()), &evidence("node-1"));
        let expected = "\
Cluster c
  Machine m (worker): creating (installing)
    Server node-1: provisioning for 60s: waits for the agent (deadline in 9m0s); power on
      claimed by ProviderMachine m
      disk /dev/sda: serial number S1, 1024 bytes; before attempt 1 it held: GPT, partition 1: ZFS
      Hardware node-1: MAC 02:00:00:00:00:01, IP 10.0.0.5, netboot allowed
      BMC bmc-node-1 (10.1.0.5): power on, asked 2s ago
        spoken to by IPMI: no Redfish: connection refused
      Workflow w (attempt 1): PENDING
        stream-image         PENDING
      last boot events:
        2026-01-01T00:00:50Z (10s ago) Dhcp: DISCOVER, offered 10.0.0.5
Gantry waits for: waits for the agent (deadline in 9m0s)
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_silent_machine_shows_whom_else_was_heard() {
        let mut snapshot = snapshot();
        let session = json!({
            "attempt": 1, "boot": 1, "bootId": "b", "phase": "armed", "armedAt": "2026-01-01T00:00:00Z",
            "deadline": "2026-01-01T00:45:00Z", "strangers": ["02:00:00:00:00:09"],
        });
        let status = snapshot.servers[0].status.as_mut().unwrap();
        status.boot_session = Some(serde_json::from_value(session).unwrap());
        let target = Target::Server("node-1".into());
        let lines = chain(&snapshot, &Evidence::default(), &target, at());
        let text: String = lines.iter().map(|line| format!("{}\n", line.text)).collect();
        assert!(
            text.contains("no packet of it since it was armed") && text.contains("02:00:00:00:00:09"),
            "{text}"
        );
    }

    #[test]
    fn a_server_shows_that_its_last_installation_failed() {
        let mut snapshot = snapshot();
        let failure = json!({
            "attempt": 3, "workflow": "w-3", "owner": "m-0", "at": "2026-01-01T00:00:00Z", "reason": "no disk", "count": 2,
        });
        snapshot.servers[0].spec.last_failure = Some(serde_json::from_value(failure).unwrap());
        let target = Target::Server("node-1".into());
        let lines = chain(&snapshot, &Evidence::default(), &target, at());
        let expected = "attempt 3 for m-0 failed 60s ago, 2 in a row: no disk";
        assert!(lines.iter().any(|line| line.text == expected), "{lines:?}");
    }

    #[test]
    fn a_server_shows_that_it_is_in_quarantine() {
        let mut snapshot = snapshot();
        let quarantine = json!({"reason": "disk errors", "at": "2026-01-01T00:00:00Z"});
        snapshot.servers[0].spec.quarantine = Some(serde_json::from_value(quarantine).unwrap());
        let target = Target::Server("node-1".into());
        let lines = chain(&snapshot, &Evidence::default(), &target, at());
        let expected =
            "in quarantine for 60s (disk errors); to end it: gantry quarantine server node-1 --end";
        assert!(lines.iter().any(|line| line.text == expected), "{lines:?}");
    }

    #[test]
    fn a_cluster_shows_its_machines() {
        let text = text(&Target::Cluster("c".into()), &Evidence::default());
        assert!(
            text.starts_with("Cluster c: Creating\n  Machine m (worker): creating (installing)\n"),
            "{text}"
        );
        assert!(text.contains("no packet of it was ever seen"), "{text}");
    }

    #[test]
    fn a_cluster_shows_what_its_provider_says() {
        let object = json!({
            "apiVersion": "gantry.dev/v1alpha1", "kind": "ProviderCluster",
            "metadata": {"name": "c", "namespace": "n", "generation": 2},
            "spec": {"provider": "metal", "clusterName": "c", "clusterUid": "u",
                "controlPlaneEndpoint": {"host": "192.0.2.10", "port": 6443},
                "pools": [{"name": "md-0", "role": "worker", "count": 4}]},
            "status": {"observedGeneration": 2,
                "conditions": [{"type": "Ready", "status": "False", "reason": "NotEnoughHosts", "message": "md-0: too few",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"}],
                "pools": [{"name": "md-0", "hosts": 1, "free": 2, "shared": 1, "sharedWith": ["md-1"],
                    "notFree": ["3 quarantined (a, b, d)", "1 failed (e)"]}]},
        });
        let mut snapshot = snapshot();
        snapshot.provider_clusters = vec![serde_json::from_value(object).unwrap()];
        let text = |snapshot: &Snapshot| {
            let lines = chain(snapshot, &Evidence::default(), &Target::Cluster("c".into()), at());
            lines
                .iter()
                .map(|line| format!("{}\n", line.text))
                .collect::<String>()
        };
        let shown = text(&snapshot);
        assert!(
            shown.contains("ProviderCluster c (metal): not ready: md-0: too few\n")
                && shown.contains(
                    "pool md-0: 1 of 4 machines have a host, 2 more are free (1 of them counted for md-1 too); not free: 3 \
                     quarantined (a, b, d), 1 failed (e)\n"
                ),
            "{shown}"
        );
        // A machine of the pool that waits for a host.
        let status = snapshot.provider_machines[0].status.as_mut().unwrap();
        status.host = None;
        snapshot.provider_machines[0].spec.pool = "md-0".into();
        let shown = text(&snapshot);
        assert!(shown.contains("no host yet; pool md-0: 1 of 4"), "{shown}");
        snapshot.provider_clusters[0].metadata.generation = Some(3);
        let shown = text(&snapshot);
        assert!(
            shown.contains("ProviderCluster c (metal): its driver has not answered to the present spec yet")
                && shown.contains("no host yet\n"),
            "{shown}"
        );
    }

    #[test]
    fn a_stranger_shows_what_was_seen_of_it() {
        let mac = "02:00:00:00:00:99";
        let text = text(&Target::Unknown(mac.into()), &evidence(mac));
        assert!(
            text.contains("no Hardware has it") && text.contains("DISCOVER"),
            "{text}"
        );
    }
}
