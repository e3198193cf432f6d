//! The armed window: long until the machine starts, then as short as its firmware and the installer need.

use jiff::Timestamp;
use resources::gantry::{BootSession, Server};
use serde_json::json;

use crate::site::Site;
use crate::{armed, raised, state};

fn session(server: &Server) -> BootSession {
    server.status.clone().unwrap().boot_session.unwrap()
}

fn minutes_left(session: &BootSession) -> i64 {
    session.deadline.0.duration_since(Timestamp::now()).as_mins()
}

fn started(server: &Server) -> bool {
    let status = server.status.as_ref();
    let session = status.and_then(|status| status.boot_session.as_ref());
    session.is_some_and(|session| session.started_at.is_some())
}

fn power(server: &Server) -> Option<&str> {
    server.status.as_ref()?.power.as_deref()
}

/// A change wakes the controller sooner than its next look.
async fn wake(site: &Site, change: &str) {
    site.merge_server("node-1", json!({"metadata": {"annotations": {"look": change}}}))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_counts_from_the_first_packet() {
    let site = Site::start().await;
    site.hardware("node-1").await;
    armed(&site, 1, "install-1").await;
    let waiting = site.server("node-1", |_| true).await;
    assert!(!started(&waiting));
    assert!((1430..=1440).contains(&minutes_left(&session(&waiting))));
    let reason = waiting.status.unwrap().reason.unwrap();
    assert!(reason.contains("power-on"), "{reason}");

    site.hear("52:54:00:00:00:01".parse().unwrap());
    wake(&site, "now").await;
    let moved = session(&site.server("node-1", started).await);
    assert!((40..=45).contains(&minutes_left(&moved)));
    assert_eq!(moved.started_at, moved.last_packet.map(|packet| packet.at));
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_counts_from_power_on_where_a_bmc_says_so() {
    let site = Site::start().await;
    site.hardware("node-1").await;
    site.server("node-1", |server| state(server).is_some()).await;
    site.merge_server(
        "node-1",
        json!({"spec": {"manualMinutes": 600, "postMinutes": 5}}),
    )
    .await;
    site.bmc("bmc-node-1", "off").await;
    site.server("node-1", |server| power(server) == Some("off")).await;
    armed(&site, 1, "install-1").await;
    let waiting = site.server("node-1", |_| true).await;
    assert!(!started(&waiting));
    assert!((590..=600).contains(&minutes_left(&session(&waiting))));
    site.power("bmc-node-1", "on").await;
    let moved = session(&site.server("node-1", started).await);
    assert!((15..=20).contains(&minutes_left(&moved)));
    assert_eq!((moved.post_minutes, moved.last_packet), (Some(5), None));
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_we_power_it_on_nothing_else_counts() {
    let site = Site::start().await;
    site.hardware("node-1").await;
    site.server("node-1", |server| state(server).is_some()).await;
    let options = json!({"bootMode": "netboot"});
    site.workflow_of_mode("install-1", "node-1", "PREPARING", options)
        .await;
    raised(&site, 1, "install-1").await;
    site.bmc("bmc-node-1", "off").await;
    site.hear("52:54:00:00:00:01".parse().unwrap());
    site.power("bmc-node-1", "on").await;
    let on = site.server("node-1", |server| power(server) == Some("on")).await;
    let waiting = session(&on);
    assert!((25..=30).contains(&minutes_left(&waiting)));
    assert_eq!(
        (waiting.started_at, waiting.last_packet),
        (None, None),
        "of what ran there"
    );

    // The Job has ended.
    let since = Timestamp::now();
    site.merge_workflow(
        "install-1",
        json!({"status": {"state": "PENDING", "since": since}}),
    )
    .await;
    let moved = session(&site.server("node-1", started).await);
    let at = moved.started_at.as_ref().unwrap().0;
    assert_eq!(at.as_second(), since.as_second());
    assert!((40..=45).contains(&minutes_left(&moved)));
    site.end().await;
}
