//! The metrics of a running appliance, as Prometheus reads them. In a process of its own, because the recorder of metrics is
//! one for the process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod exposition;
#[path = "../running/mod.rs"]
mod running;

use std::time::Duration;

use exposition::{Exposition, Kind};
use http::Request;
use kube::Client;
use kube::api::{Api, PostParams};
use resources::tinkerbell::Hardware;
use running::Running;
use serde_json::json;

const NAMESPACE: &str = "eksa-system";
const TRANSITIONS: &str = "gantry_state_transitions_total";
const MACHINE: &str = "machine-1";
const MAC: &str = "52:54:00:00:00:01";
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);

/// Whoever collects metrics.
async fn collector(appliance: &Running) -> Client {
    appliance
        .client(json!({ "token": appliance.token("metrics.token") }))
        .await
}

async fn scrape(client: &Client) -> Exposition {
    let request = Request::get("/metrics").body(Vec::new()).unwrap();
    Exposition::parse(&client.request_text(request).await.unwrap())
}

/// Code of the answer to a request for a path.
async fn code(client: &Client, path: &str) -> u16 {
    let request = Request::get(path).body(Vec::new()).unwrap();
    match client.request_text(request).await {
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transition_of_a_server_raises_its_counter() {
    let appliance = Running::new().await;
    let (admin, collector) = (appliance.admin().await, collector(&appliance).await);
    let before = scrape(&collector).await;
    let freed = [("kind", "server"), ("from", "discovered"), ("to", "available")];
    assert_eq!(before.sum(TRANSITIONS, &freed), None);
    let hardware = serde_json::from_value::<Hardware>(json!({
        "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware", "metadata": { "name": MACHINE },
        "spec": { "interfaces": [{ "dhcp": { "mac": MAC } }] },
    }));
    let api: Api<Hardware> = Api::namespaced(admin, NAMESPACE);
    api.create(&PostParams::default(), &hardware.unwrap())
        .await
        .unwrap();

    let raised = async {
        loop {
            let now = scrape(&collector).await;
            if now.sum(TRANSITIONS, &freed).is_some() {
                return now;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let after = tokio::time::timeout(PATIENCE, raised)
        .await
        .expect("a Server that was derived from a Hardware with a NIC becomes available");
    assert_eq!(after.sum(TRANSITIONS, &freed), Some(1.0));

    // Every metric says what it is, and no label is anything that the site is full of.
    for (name, family) in after.families() {
        assert!(!family.help.is_empty() && family.kind != Kind::Untyped, "{name}");
        assert_ne!(family.kind, Kind::Summary, "{name} has no buckets");
        let ours = name.starts_with("gantry_");
        assert!(ours || name.starts_with("process_"), "{name}");
        let labels = family.samples.iter().flat_map(|sample| sample.labels.values());
        for value in labels {
            let names = value.contains(MACHINE) || value.contains(MAC);
            assert!(!names, "{name} has the label {value}");
        }
    }
    for name in [
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_start_time_seconds",
    ] {
        assert!(after.sum(name, &[]).is_some_and(|value| value > 0.0), "{name}");
    }
    assert!(after.sum("process_cpu_seconds_total", &[]).is_some());
    appliance.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_for_those_who_may_read_them_and_their_token_opens_nothing_else() {
    let appliance = Running::new().await;
    let admin = appliance.admin().await;
    let nobody = appliance.client(json!({})).await;
    let stranger = appliance.client(json!({ "token": "0".repeat(64) })).await;
    let collector = collector(&appliance).await;
    let secrets = format!("/api/v1/namespaces/{NAMESPACE}/secrets");
    for (who, client, path, expected) in [
        ("the admin", &admin, "/metrics", 200),
        ("the collector", &collector, "/metrics", 200),
        ("nobody", &nobody, "/metrics", 401),
        ("a stranger", &stranger, "/metrics", 401),
        ("the collector", &collector, secrets.as_str(), 403),
        (
            "the collector",
            &collector,
            "/apis/tinkerbell.org/v1alpha1/hardware",
            403,
        ),
    ] {
        assert_eq!(code(client, path).await, expected, "{who} {path}");
    }
    appliance.end().await;
}
