//! keepalived from the image that the nodes run: it takes the configuration, its check tells a ready API server from one
//! that is not, and the shared address goes where it should. Ignored by default: it takes root and the image cache.

use std::time::{Duration, Instant};

use node_config::{BootstrapDocument, Profile, init, join_control_plane};
use sim::Kubernetes;

use crate::bootstrap::content;
use crate::demo::{cluster, keys, node, secrets};
use crate::network_node::{NIC, NetworkNode, Readyz, configure, image_root, in_image, run};

/// Longer than any three checks and an election.
const PATIENCE: Duration = Duration::from_secs(60);

fn configuration(document: &BootstrapDocument) -> String {
    let mut files = document.files.iter();
    let file = files
        .find(|file| file.path.ends_with("/keepalived.conf.in"))
        .unwrap();
    // As the bootstrap script does.
    content(file).replace("@INTERFACE@", NIC)
}

fn of_node(name: &str, profile: Profile) -> String {
    let mut node = node();
    node.name = name.to_owned();
    configuration(&join_control_plane(&cluster(profile), &node, &keys(), &secrets()).unwrap())
}

/// The check of the configuration, as keepalived runs it.
fn check(configuration: &str) -> Vec<&str> {
    let line = configuration
        .lines()
        .find_map(|line| line.trim().strip_prefix("script "));
    line.unwrap().trim_matches('"').split(' ').collect()
}

#[test]
#[ignore = "needs root and keepalived: gantry image build"]
fn every_configuration_is_taken() {
    let image = image_root();
    let mut texts = Vec::new();
    for profile in [Profile::Standard, Profile::Lab] {
        texts.push(of_node(&"a".repeat(63), profile));
        texts.push(configuration(
            &init(&cluster(profile), &node(), &keys(), &secrets().token).unwrap(),
        ));
    }
    let test = ["/usr/sbin/keepalived", "--vrrp", "--config-test", "--log-console"];
    for text in &texts {
        configure(&image, text);
        let said = run(&mut in_image(&image, &test));
        assert!(!said.to_lowercase().contains("unknown keyword"), "{said}");
    }
    configure(&image, &texts[0].replace("advert_int", "advert_interval"));
    let refused = in_image(&image, &test).output().unwrap();
    assert!(!refused.status.success(), "this test would not see a wrong word");
}

#[tokio::test]
#[ignore = "needs root, keepalived, kube-apiserver and etcd: gantry image build"]
async fn the_check_tells_a_ready_api_server() {
    let image = image_root();
    let mut kubernetes = Kubernetes::start().await;
    let text = of_node("cp-1", Profile::Standard).replace(":6443", &format!(":{}", kubernetes.port()));
    let command = check(&text);
    let is_ready = || in_image(&image, &command).output().unwrap().status.success();
    // Without a client certificate: /readyz is open to everybody in a cluster of kubeadm.
    assert!(is_ready());
    kubernetes.kill_etcd().await;
    let began = Instant::now();
    // The API server asks etcd now and then.
    while is_ready() {
        assert!(began.elapsed() < PATIENCE, "still ready without etcd");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until the holder of the shared address is the first or second node alone.
fn holder_becomes(nodes: &[NetworkNode; 2], expected: usize) {
    let began = Instant::now();
    loop {
        let holds = nodes.each_ref().map(|node| node.holds("192.0.2.10"));
        if holds[expected] && !holds[1 - expected] {
            return;
        }
        if began.elapsed() > PATIENCE {
            let [first, second] = nodes.each_ref().map(NetworkNode::log);
            panic!("{holds:?} instead of {expected} alone\n{first}\n---\n{second}");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Waits until each node's health was asked for often enough that a move would have begun.
fn several_checks(nodes: &[NetworkNode; 2]) {
    let before = nodes.each_ref().map(NetworkNode::asked);
    let began = Instant::now();
    while nodes
        .iter()
        .zip(before)
        .any(|(node, before)| node.asked() < before + 4)
    {
        assert!(began.elapsed() < PATIENCE, "nobody asks");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
#[ignore = "needs root and keepalived: gantry image build"]
fn a_check_that_is_given_up_leaves_no_process() {
    let mut nodes = NetworkNode::pair();
    for node in &mut nodes {
        node.set(Readyz::Silent);
        node.start(&of_node("cp-1", Profile::Standard));
    }
    several_checks(&nodes);
    for node in &nodes {
        // One that runs, and its process for TLS.
        assert!(node.checks() <= 2, "{} processes", node.checks());
        assert!(node.log().contains("timed_out"), "{}", node.log());
    }
}

#[test]
#[ignore = "needs root and keepalived: gantry image build"]
fn the_address_follows_readiness_and_does_not_come_back() {
    let mut nodes = NetworkNode::pair();
    // Faster, and without TLS: this API server is played. The check itself stands above.
    let played = |name| {
        let text = of_node(name, Profile::Standard).replace("https:", "http:");
        text.replace("interval 5\n", "interval 2\n")
            .replace("timeout 4\n", "timeout 1\n")
    };
    // The first node founds the cluster: it needs the address before its API server is ready.
    nodes[0].start(&played("cp-1"));
    holder_becomes(&nodes, 0);
    nodes[1].start(&played("cp-2"));
    nodes[1].set(Readyz::Ok);
    holder_becomes(&nodes, 1);

    nodes[0].set(Readyz::Ok);
    several_checks(&nodes);
    holder_becomes(&nodes, 1);

    nodes[1].set(Readyz::Failing);
    holder_becomes(&nodes, 0);
    nodes[1].set(Readyz::Ok);
    several_checks(&nodes);
    holder_becomes(&nodes, 0);

    // An API server that hangs is no better, and the checks that are given up leave nothing behind.
    nodes[0].set(Readyz::Silent);
    holder_becomes(&nodes, 1);
    several_checks(&nodes);
    assert!(
        nodes[0].checks() <= 2,
        "{} processes of checks",
        nodes[0].checks()
    );

    // Nobody is ready: it stays where it is.
    for node in &nodes {
        node.set(Readyz::Failing);
    }
    several_checks(&nodes);
    holder_becomes(&nodes, 1);

    // The holder is gone without a word.
    for node in &nodes {
        node.set(Readyz::Ok);
    }
    several_checks(&nodes);
    holder_becomes(&nodes, 1);
    nodes[1].kill();
    let began = Instant::now();
    while !nodes[0].holds("192.0.2.10") {
        assert!(began.elapsed() < PATIENCE, "{}", nodes[0].log());
        std::thread::sleep(Duration::from_millis(200));
    }
}
