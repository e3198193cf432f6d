//! A server in the chain, and what hangs on it: boot session, Hardware, BMC with its last job, workflow.

use kube::ResourceExt;
use resources::bmc;
use resources::gantry::{PinnedDisk, Server, ServerStatus};
use resources::tinkerbell::{ActionState, Hardware, Workflow};

use super::super::target::{addresses, macs};
use super::super::{first_boot, session};
use super::Chain;
use crate::snapshot::word;
use crate::time;

impl Chain<'_> {
    pub(super) fn server(&mut self, depth: usize, name: &str) {
        let snapshot = self.snapshot;
        let server = snapshot
            .servers
            .iter()
            .find(|server| server.spec.hardware == name);
        match server {
            Some(server) => self.server_lines(depth, server),
            None => self.say(depth, format!("Server {name}: not made yet (from its Hardware)")),
        }
        if let Some(hardware) = snapshot
            .hardware
            .iter()
            .find(|hardware| hardware.name_any() == name)
        {
            self.hardware(depth + 1, hardware);
        }
        let bmc = server.and_then(|server| server.spec.bmc.as_deref());
        if let Some(bmc) = bmc.and_then(|bmc| snapshot.bmcs.iter().find(|known| known.name_any() == bmc)) {
            self.bmc(depth + 1, bmc);
        }
        let workflow = server
            .and_then(|server| server.spec.attempt.as_ref())
            .map(|attempt| attempt.workflow.as_str());
        if let Some(workflow) =
            workflow.and_then(|w| snapshot.workflows.iter().find(|known| known.name_any() == w))
        {
            self.workflow(depth + 1, workflow);
        }
        self.records(depth + 1, name);
    }

    fn server_lines(&mut self, depth: usize, server: &Server) {
        let status: ServerStatus = server.status.clone().unwrap_or_default();
        let (since, deadline) = (status.since.as_ref(), status.deadline.as_ref());
        let state = self.state(&word(status.state), since, status.reason.as_deref(), deadline);
        let power = status.power.as_deref().unwrap_or("unknown");
        self.say(
            depth,
            format!("Server {}: {state}; power {power}", server.name_any()),
        );
        if let Some(claim) = &server.spec.claim {
            self.say(depth + 1, format!("claimed by {} {}", claim.kind, claim.name));
        }
        if let Some(quarantine) = &server.spec.quarantine {
            let since = quarantine.at.as_ref();
            let since = since.map_or(String::new(), |at| format!(" for {}", time::ago(at.0, self.now)));
            self.say(
                depth + 1,
                format!(
                    "in quarantine{since} ({}); to end it: gantry quarantine server {} --end",
                    quarantine.reason,
                    server.name_any()
                ),
            );
        }
        if let Some(failure) = &server.spec.last_failure {
            let (ago, count) = (time::ago(failure.at.0, self.now), failure.count);
            let times = match count {
                1 => String::new(),
                _ => format!(", {count} in a row"),
            };
            let (attempt, reason) = (failure.attempt, &failure.reason);
            self.say(
                depth + 1,
                format!(
                    "attempt {attempt} for {} failed {ago} ago{times}: {reason}",
                    failure.owner
                ),
            );
        }
        if let Some(unwiped) = &server.spec.unwiped {
            let ago = time::ago(unwiped.at.0, self.now);
            self.say(
                depth + 1,
                format!(
                    "given back unwiped {ago} ago, so its disks may hold keys and the system of {}: {}",
                    unwiped.owner, unwiped.reason
                ),
            );
        }
        for pin in &server.spec.disks {
            self.say(depth + 1, pinned(pin));
        }
        let session = session::lines(server, depth + 1, self.now);
        let first_boot = first_boot::lines(server, depth + 1, self.now);
        for line in session.into_iter().chain(first_boot) {
            self.say(line.depth, line.text);
        }
    }

    fn hardware(&mut self, depth: usize, hardware: &Hardware) {
        let macs: Vec<String> = macs(hardware)
            .into_iter()
            .flatten()
            .map(|mac| mac.to_string())
            .collect();
        let ips: Vec<&str> = addresses(hardware).collect();
        let allow = hardware
            .spec
            .interfaces
            .iter()
            .filter_map(|nic| nic.netboot.as_ref()?.allow_pxe)
            .any(|allow| allow);
        let text = format!(
            "Hardware {}: MAC {}, IP {}, netboot {}",
            hardware.name_any(),
            macs.join(" "),
            ips.join(" "),
            if allow { "allowed" } else { "not allowed" }
        );
        self.say(depth, text);
    }

    fn bmc(&mut self, depth: usize, bmc: &bmc::Machine) {
        let status = bmc.status.clone().unwrap_or_default();
        let power = status.power_state.map_or("unknown".to_owned(), word);
        let polled = status
            .last_polled
            .as_ref()
            .map_or("never asked".to_owned(), |at| {
                format!("asked {} ago", time::ago(at.0, self.now))
            });
        self.say(
            depth,
            format!(
                "BMC {} ({}): power {power}, {polled}",
                bmc.name_any(),
                bmc.spec.connection.host
            ),
        );
        if let Some(protocol) = status.protocol {
            let reason = status.protocol_reason.as_deref().unwrap_or("no reason given");
            self.say(depth + 1, format!("spoken to by {protocol}: {reason}"));
        }
        for condition in status
            .conditions
            .iter()
            .filter(|condition| condition.status != "True")
        {
            let message = condition.message.as_deref().unwrap_or("no reason given");
            self.say(
                depth + 1,
                format!("{}: {} {message}", condition.kind, condition.status),
            );
        }
        let snapshot = self.snapshot;
        let mut jobs: Vec<&bmc::Job> = snapshot
            .jobs
            .iter()
            .filter(|job| job.spec.machine_ref.name == bmc.name_any())
            .collect();
        jobs.sort_by_key(|job| job.creation_timestamp().map(|time| time.0));
        if let Some(job) = jobs.last() {
            let conditions = job
                .status
                .iter()
                .flat_map(|status| &status.conditions)
                .filter(|c| c.status == "True");
            let words: Vec<String> = conditions
                .map(|c| {
                    format!("{} {}", word(c.kind), c.message.as_deref().unwrap_or_default())
                        .trim_end()
                        .to_owned()
                })
                .collect();
            let state = if words.is_empty() {
                "waiting".to_owned()
            } else {
                words.join(", ")
            };
            self.say(depth + 1, format!("last job {}: {state}", job.name_any()));
        }
    }

    fn workflow(&mut self, depth: usize, workflow: &Workflow) {
        let status = workflow.status.clone().unwrap_or_default();
        let word_of = status.state.map_or("not rendered yet".to_owned(), word);
        let (since, deadline) = (status.since.as_ref(), status.deadline.as_ref());
        let state = self.state(&word_of, since, status.reason.as_deref(), deadline);
        let attempt = status
            .attempt
            .map_or(String::new(), |attempt| format!(" (attempt {attempt})"));
        self.say(
            depth,
            format!("Workflow {}{attempt}: {state}", workflow.name_any()),
        );
        for action in status.tasks.iter().flat_map(|task| &task.actions) {
            let mut text = format!("{:20} {}", action.name, word(action.state));
            if action.state == ActionState::Running
                && let Some(percent) = status.percent
            {
                text = format!("{text} {percent} %");
            }
            if let Some(took) = &action.execution_duration {
                text = format!("{text} {took}");
            }
            if let Some(message) = action.message.as_deref().filter(|message| !message.is_empty()) {
                text = format!("{text}: {message}");
            }
            self.say(depth + 1, text);
        }
    }
}

/// A pinned disk with what lay on it before.
fn pinned(pin: &PinnedDisk) -> String {
    let parts = [
        ("", &pin.model),
        ("serial number ", &pin.serial),
        ("WWN ", &pin.wwn),
        ("at ", &pin.path),
    ];
    let known = parts
        .iter()
        .filter_map(|(what, value)| Some(format!("{what}{}, ", value.as_ref()?)));
    let contents = match pin.contents.as_slice() {
        [] => "nothing known".to_owned(),
        contents => contents.join(", "),
    };
    format!(
        "disk {}: {}{} bytes; before attempt {} it held: {contents}",
        pin.name,
        known.collect::<String>(),
        pin.size,
        pin.attempt
    )
}
