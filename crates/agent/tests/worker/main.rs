//! Claim, work and report against an appliance on loopback: refusals, lost answers, restarts, fences, time limits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod appliance;
#[path = "../simulated/host.rs"]
#[allow(dead_code)]
mod host;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use agent::{Console, Ended, Host, Lease, MachineKey, Session, claim, work};
use agent_protocol::v1::{Action, ActionState, ClaimRequest, Firmware};
use agent_protocol::{LEASE, SteppedClock};
use appliance::{Appliance, SITE};
use host::{Machine, Simulated};
use rustls::crypto::aws_lc_rs::default_provider;

fn action(id: &str, kind: &str, environment: &[(&str, &str)]) -> Action {
    let pairs = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Action {
        workflow: "default/wf".to_owned(),
        action_id: id.to_owned(),
        name: format!("step {id}"),
        kind: kind.to_owned(),
        environment: pairs.collect::<HashMap<_, _>>(),
        disks: host::pinned(),
        attempt: 1,
        ..Action::default()
    }
}

fn write_file(id: &str, path: &str) -> Action {
    let (uid, gid) = (
        nix::unistd::getuid().to_string(),
        nix::unistd::getgid().to_string(),
    );
    let environment = [
        ("DEST_DISK", "/dev/part2"),
        ("FS_TYPE", "ext4"),
        ("DEST_PATH", path),
        ("CONTENTS", "x"),
        ("UID", &uid),
        ("GID", &gid),
    ];
    action(id, "writefile", &environment)
}

fn reboot(id: &str) -> Action {
    action(id, "reboot", &[])
}

/// A console that shows nothing.
fn silent() -> Console {
    Console::new(vec![std::fs::File::create("/dev/null").unwrap()])
}

async fn session(appliance: &Appliance, port: u16) -> Arc<Session> {
    let provider = default_provider();
    let _ = provider.clone().install_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let way = agent::Appliance {
        address: format!("127.0.0.1:{port}"),
        site: SITE.to_owned(),
        ca_pem: appliance.ca_pem(),
        clock: Arc::new(SteppedClock::new(now)),
        provider: Arc::new(provider),
    };
    let key = MachineKey::generate().unwrap();
    let request = ClaimRequest {
        boot_id: "00ff".to_owned(),
        csr_pem: key.request_pem().unwrap(),
        ..ClaimRequest::default()
    };
    Arc::new(claim(&way, &key, &request, &silent()).await.unwrap())
}

fn machine() -> (Arc<Machine>, Arc<dyn Host>) {
    let machine = Arc::new(Machine::new(Vec::new()));
    (Arc::clone(&machine), Arc::new(Simulated(machine)))
}

async fn run(session: &Arc<Session>, host: &Arc<dyn Host>) -> Ended {
    let lease = Arc::new(Lease::new(session.asked, LEASE));
    let work = async { work(session, host, &lease, &silent()).await };
    tokio::time::timeout(Duration::from_secs(60), work).await.unwrap()
}

fn states(appliance: &Appliance) -> Vec<(String, ActionState)> {
    let state = appliance.state.lock().unwrap();
    let ends = state
        .reports
        .iter()
        .filter(|report| report.state() != ActionState::Running);
    ends.map(|report| (report.action_id.clone(), report.state()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_in_order_and_success_before_leaving() {
    let appliance = Appliance::new(vec![
        write_file("1", "/etc/a"),
        write_file("2", "/etc/b"),
        reboot("3"),
    ]);
    appliance.state.lock().unwrap().lost_answers = 2;
    let (port, _server) = appliance.serve("127.0.0.1:0").await;
    let session = session(&appliance, port).await;
    let (machine, host) = machine();
    assert_eq!(run(&session, &host).await, Ended::Leave { kexec: false });
    let expected = ["1", "2", "3"].map(|id| (id.to_owned(), ActionState::Success));
    assert_eq!(states(&appliance), expected);
    assert_eq!(machine.read("part2/etc/b"), "x");
    let state = appliance.state.lock().unwrap();
    assert_eq!(state.reports.last().unwrap().facts["handover"], "reboot");
    // Each action was begun before it ended.
    assert_eq!(state.reports.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_agent_asks_again_with_the_same_key() {
    let appliance = Appliance::new(vec![reboot("1")]);
    appliance.state.lock().unwrap().refusals = 2;
    let (port, _server) = appliance.serve("127.0.0.1:0").await;
    session(&appliance, port).await;
    let claims = appliance.state.lock().unwrap().claims.clone();
    assert_eq!(claims.len(), 3);
    assert!(claims.iter().all(|claim| *claim == claims[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_action_says_why_and_the_next_is_asked_for() {
    let bad = action(
        "1",
        "writefile",
        &[
            ("DEST_DISK", "/dev/sdz"),
            ("FS_TYPE", "ext4"),
            ("DEST_PATH", "/a"),
        ],
    );
    let unknown = action("2", "archive2disk", &[]);
    let appliance = Appliance::new(vec![bad, unknown, reboot("3")]);
    let (port, _server) = appliance.serve("127.0.0.1:0").await;
    let session = session(&appliance, port).await;
    let (_, host) = machine();
    assert_eq!(run(&session, &host).await, Ended::Leave { kexec: false });
    let state = appliance.state.lock().unwrap();
    let failed: Vec<&str> = state
        .reports
        .iter()
        .filter(|report| report.state() == ActionState::Failed)
        .map(|report| report.message.as_str())
        .collect();
    assert_eq!(failed.len(), 2);
    assert!(
        failed[0].contains("/dev/sdz") && failed[1].contains("archive2disk"),
        "{failed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_agent_stops() {
    let appliance = Appliance::new(vec![write_file("1", "/etc/a")]);
    let (port, _server) = appliance.serve("127.0.0.1:0").await;
    let session = session(&appliance, port).await;
    appliance.state.lock().unwrap().fenced = true;
    let (machine, host) = machine();
    assert_eq!(run(&session, &host).await, Ended::ClaimAgain);
    assert!(!machine.file("part2/etc").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_appliance_that_restarts_is_waited_for() {
    let appliance = Appliance::new(vec![write_file("1", "/etc/a"), reboot("2")]);
    let (port, server) = appliance.serve("127.0.0.1:0").await;
    let session = session(&appliance, port).await;
    server.abort();
    let _ = server.await;
    let (_, host) = machine();
    let worker = tokio::spawn(async move { run(&session, &host).await });
    // The agent has met the closed port at least once before the appliance is back.
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let (_, _server) = appliance.serve(&format!("127.0.0.1:{port}")).await;
    assert_eq!(worker.await.unwrap(), Ended::Leave { kexec: false });
    assert_eq!(states(&appliance).len(), 2);
}

/// How an image2disk ends that may take a second under a lease of this length.
async fn image_under_a_lease(limit: Duration, report_takes: Duration) -> ActionState {
    let mut slow = action(
        "1",
        "image2disk",
        &[("IMG_URL", "http://192.0.2.1/a"), ("DEST_DISK", "/dev/disk")],
    );
    slow.timeout_seconds = 1;
    let appliance = Appliance::new(vec![slow, reboot("2")]);
    appliance.state.lock().unwrap().report_takes = report_takes;
    let (port, _server) = appliance.serve("127.0.0.1:0").await;
    let session = session(&appliance, port).await;
    let mut machine = Machine::new(endless_image());
    machine.firmware = Firmware::Bios;
    let machine = Arc::new(machine);
    machine.budget.store(usize::MAX, Ordering::SeqCst);
    let host: Arc<dyn Host> = Arc::new(Simulated(machine));
    let lease = Arc::new(Lease::new(Instant::now(), limit));
    let console = silent();
    let work = work(&session, &host, &lease, &console);
    let ended = tokio::time::timeout(Duration::from_secs(60), work).await.unwrap();
    assert_eq!(ended, Ended::Leave { kexec: false });
    states(&appliance)[0].1
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_limit_stops_an_action() {
    // Without a lease the write waits before its first block, until the limit stops it.
    assert_eq!(
        image_under_a_lease(Duration::ZERO, Duration::ZERO).await,
        ActionState::Timeout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_gives_no_right_to_write() {
    // By the time the answer to "started" comes, the lease that it renews is over.
    let (limit, late) = (Duration::from_millis(500), Duration::from_millis(600));
    assert_eq!(image_under_a_lease(limit, late).await, ActionState::Timeout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_no_other_try_fixes_says_so() {
    let settings = [
        ("IMG_URL", "http://192.0.2.1/a"),
        ("DEST_DISK", "/dev/disk"),
        ("IMG_DIGEST", "md5:00"),
    ];
    let appliance = Appliance::new(vec![action("1", "image2disk", &settings), reboot("2")]);
    let (port, _server) = appliance.serve("127.0.0.1:0").await;
    let session = session(&appliance, port).await;
    let (_, host) = machine();
    run(&session, &host).await;
    assert_eq!(states(&appliance)[0].1, ActionState::Failed);
    let state = appliance.state.lock().unwrap();
    let told = |id: &str| {
        let mut of_action = state.reports.iter().filter(|report| report.action_id == id);
        of_action.any(|report| report.facts.contains_key("hopeless"))
    };
    assert!(told("1") && !told("2"));
}

/// Boots, as far as anybody can tell.
fn endless_image() -> Vec<u8> {
    let mut image = vec![0; 8 << 20];
    image[0] = 0xeb;
    image[446 + 4] = 0x83;
    image[510] = 0x55;
    image[511] = 0xaa;
    image
}
