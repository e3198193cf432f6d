//! `gantry evidence NAME`: everything that is known of one machine, in one file that can be given away.
//!
//! Secrets are not read. What the objects hold of users' data is removed by the names of its fields, and lines of logs lose
//! what looks like a secret ([`redact`]).

mod archive;
mod objects;
mod redact;

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, ListParams};
use resources::keys;
use serde_json::Value;

use crate::explain::{Evidence, Record, Target, chain};
use crate::failure::{Failure, Outcome};
use crate::global::Global;
use crate::snapshot::Snapshot;
use crate::{connection, output};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gantry evidence node-a\n  gantry evidence prod-md-0-x7k2p -o ticket-4711.tar.gz\n  gantry evidence \
                  52:54:00:00:00:01"
)]
pub(crate) struct EvidenceArgs {
    /// Machine, server, hardware, workflow, MAC, IP or serial number.
    what: String,
    /// Namespace.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
    /// File to write; `evidence-SERVER.tar.gz` in the present directory when absent. One that is there is replaced.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) async fn run(global: &Global, args: &EvidenceArgs) -> Outcome {
    let client = connection::connect(global).await?;
    let snapshot = Snapshot::read(&client, &args.namespace).await?;
    let server = match super::explain::target(&snapshot, &args.namespace, &args.what)? {
        Target::Server(server) => server,
        Target::ProviderMachine(machine) => {
            return Err(Failure::BadInput(format!(
                "{machine} has no host, so there is nothing of a machine to pack; see: gantry explain {machine}"
            )));
        }
        Target::Cluster(name) => {
            return Err(Failure::BadInput(format!(
                "{name} is a cluster; name one of its machines: gantry get providermachines -n {}",
                args.namespace
            )));
        }
        Target::Unknown(address) => {
            return Err(Failure::BadInput(format!(
                "no Hardware has {address}; what is known of it: gantry explain {address}"
            )));
        }
    };
    let mut records = Evidence::default();
    records.add(&client, &server).await?;
    let events = Api::<Event>::namespaced(client, &args.namespace);
    let events = events.list(&ListParams::default()).await?.items;
    let now = Timestamp::now();
    let bundle = Bundle {
        server: &server,
        snapshot: &snapshot,
        records: &records,
        events: &events,
        now,
    };
    let path = match &args.output {
        Some(path) => path.clone(),
        None => PathBuf::from(format!("evidence-{server}.tar.gz")),
    };
    let files = bundle.files()?;
    output::private_file(&path, &archive::pack(&format!("evidence-{server}"), &files, now)?)?;
    let count = files.len();
    output::line(format!(
        "{}: {count} files about {server}, without Secrets; only you can read it",
        path.display()
    ));
    Ok(())
}

/// What is packed.
struct Bundle<'a> {
    server: &'a str,
    snapshot: &'a Snapshot,
    records: &'a Evidence,
    events: &'a [Event],
    now: Timestamp,
}

impl Bundle<'_> {
    /// Names and contents of the files.
    fn files(&self) -> Outcome<Vec<(String, String)>> {
        let objects = objects::of_server(self.snapshot, self.server)?;
        let about = format!(
            "What Gantry {} knew of the machine {} at {:.0}.\n\nexplain.txt: the chain of what waits for what\nobjects/: one file \
             for each object; [removed] stands for users' data, settings of actions and whatever looks like a secret\n\
             events.txt: Events of these objects, oldest first\nbootevents.txt, actionlogs.txt: its newest records, oldest \
             first\n",
            env!("CARGO_PKG_VERSION"),
            self.server,
            self.now
        );
        let mut files = vec![
            ("README.txt".to_owned(), about),
            ("explain.txt".to_owned(), self.chain()),
            ("events.txt".to_owned(), self.events(&objects)),
            (
                "bootevents.txt".to_owned(),
                lines_of(self.records.boot.get(self.server)),
            ),
            (
                "actionlogs.txt".to_owned(),
                lines_of(self.records.actions.get(self.server)),
            ),
        ];
        for object in objects {
            files.push((
                format!("objects/{}.yaml", object.file),
                serde_saphyr::to_string(&object.content)?,
            ));
        }
        Ok(files)
    }

    fn chain(&self) -> String {
        let target = Target::Server(self.server.to_owned());
        let lines = chain(self.snapshot, self.records, &target, self.now);
        let lines = lines
            .iter()
            .map(|line| format!("{}{}", "  ".repeat(line.depth), line.text));
        redact::lines(lines)
    }

    fn events(&self, objects: &[objects::Packed]) -> String {
        let mut events: Vec<&Event> = self
            .events
            .iter()
            .filter(|event| {
                let of = &event.involved_object;
                objects.iter().any(|object| {
                    of.kind.as_deref() == Some(&object.kind) && of.name.as_deref() == Some(&object.name)
                })
            })
            .collect();
        let time = |event: &Event| event.last_timestamp.as_ref().map(|time| time.0);
        events.sort_by_key(|event| time(event));
        redact::lines(events.into_iter().map(|event| {
            let of = &event.involved_object;
            format!(
                "{} {} {}/{} {} (x{}): {}",
                time(event).map_or("?".to_owned(), |time| format!("{time:.0}")),
                event.type_.as_deref().unwrap_or("?"),
                of.kind.as_deref().unwrap_or("?"),
                of.name.as_deref().unwrap_or("?"),
                event.reason.as_deref().unwrap_or("?"),
                event.count.unwrap_or(1),
                event.message.as_deref().unwrap_or_default()
            )
        }))
    }
}

/// Records, oldest first, one on a line.
fn lines_of(records: Option<&Vec<Record>>) -> String {
    let records = records.into_iter().flatten().rev();
    redact::lines(records.map(|record| {
        let data = record.data.as_object().into_iter().flatten();
        let fields = data.map(|(name, value)| match value {
            Value::String(text) => format!("{name}={text}"),
            other => format!("{name}={other}"),
        });
        format!("{:.3} {}", record.time, fields.collect::<Vec<_>>().join(" "))
    }))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use serde_json::json;

    use super::*;

    const CANARY: &str = "abcdef.0123456789abcdef";

    fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    /// A server with everything that may hang on it; the canary stands wherever somebody may have put a secret.
    fn snapshot() -> Snapshot {
        let meta = |name: &str| {
            json!({"name": name, "namespace": "n", "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": CANARY}})
        };
        let server = json!({"apiVersion": "gantry.dev/v1alpha1", "kind": "Server", "metadata": meta("node-1"),
            "spec": {"machineId": "m", "hardware": "node-1", "bmc": "bmc-1",
                "claim": {"kind": "ProviderMachine", "name": "prod-1", "namespace": "n"}},
            "status": {"state": "failed", "firstBoot": {"attempt": 1, "publicKey": format!("sha256:{}", "00".repeat(32)),
                "serial": "01", "notAfter": "2026-01-01T00:00:00Z", "failure": {"stage": "kubeadm-join",
                    "lines": [format!("kubeadm join --token {CANARY}"), "error: no route to host"],
                    "at": "2026-01-01T00:00:00Z"}}}});
        let hardware = json!({"apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware", "metadata": meta("node-1"),
            "spec": {"userData": CANARY, "vendorData": CANARY,
                "metadata": {"instance": {"userdata": CANARY, "crypted_root_password": CANARY}}}});
        let workflow = |name: &str, hardware: &str| {
            json!({"apiVersion": "tinkerbell.org/v1alpha1", "kind": "Workflow", "metadata": meta(name),
                "spec": {"hardwareRef": hardware}, "status": {"tasks": [{"id": "0", "name": "t", "environment": {"A": CANARY},
                    "actions": [{"id": "1", "name": "write", "environment": {"CONTENTS": CANARY}, "command": [CANARY]}]}]}})
        };
        let machine = |name: &str| {
            json!({"apiVersion": "gantry.dev/v1alpha1", "kind": "ProviderMachine", "metadata": meta(name),
                "spec": {"provider": "metal", "clusterName": "prod", "machine": name, "imageURL": "http://u:pw@x/i.gz",
                    "users": [{"name": "ops", "sshAuthorizedKeys": ["ssh-ed25519 AAAA"]}]}})
        };
        let bmc = json!({"apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Machine", "metadata": meta("bmc-1"),
            "spec": {"connection": {"host": "192.0.2.9", "insecureTLS": true,
                "authSecretRef": {"name": "bmc-1-auth", "namespace": "n"}}}});
        let job = |name: &str, bmc: &str| {
            json!({"apiVersion": "bmc.tinkerbell.org/v1alpha1", "kind": "Job", "metadata": meta(name),
                "spec": {"machineRef": {"name": bmc, "namespace": "n"}, "tasks": []}})
        };
        Snapshot {
            servers: vec![from(server)],
            hardware: vec![from(hardware)],
            workflows: vec![
                from(workflow("prod-1-1", "node-1")),
                from(workflow("elsewhere-1", "node-2")),
            ],
            provider_machines: vec![from(machine("prod-1")), from(machine("elsewhere"))],
            bmcs: vec![from(bmc)],
            jobs: vec![
                from(job("netboot-prod-1-1", "bmc-1")),
                from(job("netboot-elsewhere", "bmc-2")),
            ],
            ..Snapshot::default()
        }
    }

    fn unpacked(archive: &[u8]) -> Vec<(String, String)> {
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
        let entries = archive.entries().unwrap();
        entries
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                (entry.path().unwrap().display().to_string(), text)
            })
            .collect()
    }

    #[test]
    fn it_holds_everything_of_the_machine_nothing_of_others_and_no_secret() {
        let mut records = Evidence::default();
        let record = |text: String| -> Record {
            from(
                json!({"machine": "node-1", "time": "2026-01-01T00:00:00Z", "data": {"kind": "Dhcp", "text": text}}),
            )
        };
        let boot = vec![record("newer".into()), record(format!("token={CANARY}"))];
        records.boot.insert("node-1".into(), boot);
        let event = |kind: &str, name: &str, message: &str| -> Event {
            from(
                json!({"metadata": {"name": "e"}, "type": "Warning", "reason": "PowerFailed", "message": message,
                "involvedObject": {"kind": kind, "name": name}, "lastTimestamp": "2026-01-01T00:00:00Z"}),
            )
        };
        let events = [
            event("Job", "netboot-prod-1-1", &format!("password: {CANARY}")),
            event("Job", "netboot-elsewhere", "not ours"),
        ];
        let snapshot = snapshot();
        let bundle = Bundle {
            server: "node-1",
            snapshot: &snapshot,
            records: &records,
            events: &events,
            now: Timestamp::UNIX_EPOCH,
        };
        let archive =
            archive::pack("evidence-node-1", &bundle.files().unwrap(), Timestamp::UNIX_EPOCH).unwrap();
        let files = unpacked(&archive);
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        let expected = [
            "README.txt",
            "explain.txt",
            "events.txt",
            "bootevents.txt",
            "actionlogs.txt",
            "objects/server-node-1.yaml",
            "objects/hardware-node-1.yaml",
            "objects/providermachine-prod-1.yaml",
            "objects/bmc-bmc-1.yaml",
            "objects/job-netboot-prod-1-1.yaml",
            "objects/workflow-prod-1-1.yaml",
        ];
        assert_eq!(names, expected.map(|name| format!("evidence-node-1/{name}")));
        for (name, text) in &files {
            for secret in [CANARY, "u:pw@"] {
                assert!(!text.contains(secret), "{secret} is in {name}:\n{text}");
            }
            assert!(
                !text.contains("not ours") && !text.contains("elsewhere"),
                "{name}:\n{text}"
            );
        }
        let text = |name: &str| &files.iter().find(|(file, _)| file.ends_with(name)).unwrap().1;
        assert!(text("server-node-1.yaml").contains("error: no route to host"));
        assert!(
            text("bmc-bmc-1.yaml").contains("bmc-1-auth"),
            "the name of a Secret is none"
        );
        assert!(
            text("bootevents.txt").find("token=") < text("bootevents.txt").find("newer"),
            "oldest first"
        );
        assert!(
            text("workflow-prod-1-1.yaml").contains("CONTENTS"),
            "which settings there were"
        );
    }
}
