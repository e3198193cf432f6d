//! The control-plane address that is up later than the API server: with kube-vip, or a load balancer of the user's.

use std::fs;
use std::process::Command;

use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::Api;
use serde_json::json;

use crate::machine::{Machine, STAGE};

/// Of the static pod what the script changes.
const MANIFEST: &str = "interface: @INTERFACE@\npath: /etc/kubernetes/@KUBECONFIG@\n";
const PLACED: &str = "etc/kubernetes/manifests/kube-vip.yaml";

/// The API at the control-plane address: it does not answer for the first few times, as the file `silent` says. Notes each
/// time what kube-vip is started with.
const KUBECTL: &str = r#"#!/bin/sh
case "$*" in *"get --raw /readyz"*) ;; *) echo kubectl $* >> @ROOT@/calls; exit ;; esac
echo "$*" >> @ROOT@/asked
grep path: @ROOT@/etc/kubernetes/manifests/kube-vip.yaml >> @ROOT@/started-with 2> /dev/null
left=$(cat @ROOT@/silent 2> /dev/null || echo 0)
[ "$left" -gt 0 ] || exit 0
echo $((left - 1)) > @ROOT@/silent
echo "Unable to connect to the server: no route to host" >&2
exit 1
"#;

/// A machine without keepalived, whose address is silent so often.
fn machine(kube_vip: bool, silent: usize) -> Machine {
    let machine = Machine::new();
    for file in ["keepalived.conf.in", "keepalived.yaml"] {
        fs::remove_file(machine.path(&format!("{STAGE}/{file}"))).unwrap();
    }
    if kube_vip {
        fs::write(machine.path(&format!("{STAGE}/kube-vip.yaml.in")), MANIFEST).unwrap();
    }
    fs::write(machine.path("silent"), silent.to_string()).unwrap();
    machine.play("kubectl", KUBECTL);
    machine.play("sleep", "#!/bin/sh\n");
    machine
}

/// The phases that each call of kubeadm left out.
fn left_out(machine: &Machine) -> Vec<Vec<String>> {
    let phases = |call: &String| {
        let (_, phases) = call.split_once("--skip-phases=").unwrap();
        phases.split(',').map(str::to_owned).collect()
    };
    machine
        .calls()
        .iter()
        .filter(|call| call.starts_with("kubeadm init"))
        .map(phases)
        .collect()
}

#[test]
fn kubeadm_init_waits_until_the_address_leads_to_the_api_server() {
    for (kube_vip, holder, silent) in [(true, "kube-vip", 2), (false, "load-balancer", 200)] {
        let machine = machine(kube_vip, silent);
        let (status, stages, calls) = machine.run("init");
        assert_eq!(status, 0, "{holder}");
        assert_eq!(
            stages,
            ["network", "containerd", "kubeadm-init", holder, "kubeadm-init"]
        );
        assert_eq!(calls, ["init", "init"]);
        let asked = fs::read_to_string(machine.path("asked")).unwrap();
        assert_eq!(asked.lines().count(), silent + 1);
        assert!(asked.contains("/etc/kubernetes/super-admin.conf"), "{asked}");
        let [first, second] = left_out(&machine).try_into().unwrap();
        // Between them they leave out nothing but what the script does itself.
        let both: Vec<&String> = first.iter().filter(|phase| second.contains(phase)).collect();
        assert_eq!(both, ["kubelet-finalize"]);
        assert_eq!(machine.path(PLACED).exists(), kube_vip);
        assert_eq!(machine.run("init"), (0, vec![], vec![]), "{holder} again");
    }
}

/// admin.conf has no rights before `kubeadm init` has given it some.
#[test]
fn kube_vip_has_the_rights_that_it_needs() {
    let machine = machine(true, 2);
    assert_eq!(machine.run("init").0, 0);
    let placed = || fs::read_to_string(machine.path(PLACED)).unwrap();
    let before = fs::read_to_string(machine.path("started-with")).unwrap();
    assert_eq!(before, "path: /etc/kubernetes/super-admin.conf\n".repeat(3));
    assert_eq!(placed(), "interface: eth0\npath: /etc/kubernetes/admin.conf\n");
    for (path, gone) in [
        (format!("{STAGE}/kube-vip.yaml.in"), true),
        (PLACED.to_owned(), false),
    ] {
        assert_eq!(machine.path(&path).exists(), !gone, "{path}");
    }
}

#[test]
fn a_member_that_joins_begins_with_admin_conf() {
    let machine = machine(true, 0);
    let (status, stages, calls) = machine.run("join-control-plane");
    assert_eq!(status, 0);
    assert_eq!(stages, ["network", "containerd", "kubeadm-join"]);
    assert_eq!(calls, ["join"]);
    assert_eq!(
        fs::read_to_string(machine.path(PLACED)).unwrap(),
        "interface: eth0\npath: /etc/kubernetes/admin.conf\n"
    );
}

#[test]
fn kube_vip_that_does_not_come_up_is_said_and_tried_again() {
    let machine = machine(true, 1000);
    let output = machine.output("init");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("kube-vip has not brought the control-plane address up")
            && said.contains("no route to host"),
        "{said}"
    );
    fs::write(machine.path("silent"), "0").unwrap();
    assert_eq!(machine.run("init").0, 0);
}

#[test]
fn a_restore_leaves_the_addons_to_the_data() {
    let machine = machine(true, 1);
    machine.download(b"data of etcd");
    fs::write(
        machine.path(&format!("{STAGE}/kubeadm.yaml")),
        "skipPhases:\n- kubelet-finalize\n- wait-control-plane\n",
    )
    .unwrap();
    assert_eq!(machine.run("restore").0, 0);
    let [first, second] = left_out(&machine).try_into().unwrap();
    assert!(first.contains(&"wait-control-plane".to_owned()), "{first:?}");
    assert!(second.contains(&"addon".to_owned()), "{second:?}");
}

/// The phases in a variable of the script.
fn phases(name: &str) -> Vec<&'static str> {
    let script = include_str!("../../src/bootstrap/bootstrap.sh");
    let assigned = |line: &'static str| line.strip_prefix(name)?.strip_prefix('=');
    let list = script.lines().find_map(assigned).unwrap();
    list.split(',').collect()
}

/// The two calls of kubeadm name each of its phases, in its order.
#[test]
#[ignore = "needs kubeadm from the image cache: gantry image build kubernetes"]
fn real_kubeadm_has_the_phases_that_the_script_names() {
    let ours = [phases("local_phases"), phases("api_phases")].concat();
    let mut kubeadm = Command::new(sim::newest_build("kubeadm"));
    let output = kubeadm.args(["init", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let listed = help.split("```").nth(1).unwrap().lines();
    let of_kubeadm: Vec<&str> = listed
        .filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()))
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(ours, of_kubeadm);
}

/// The second call of kubeadm, with a real API at the address: it does what the first one has left out, and not more. In a
/// namespace where the folder is `/etc/kubernetes`.
#[tokio::test]
#[ignore = "needs kubeadm, kube-apiserver and etcd: gantry image build"]
async fn real_kubeadm_goes_on_when_the_address_is_up() {
    let kubernetes = sim::Kubernetes::start_with(&["--allow-privileged=true".to_owned()]).await;
    let client = kubernetes.client().await;
    // kubeadm waits for the label that the kubelet gives its node.
    let labels = json!({ "kubernetes.io/hostname": "node-1" });
    let node = json!({ "metadata": { "name": "node-1", "labels": labels } });
    let node = serde_json::from_value(node).unwrap();
    let nodes: Api<Node> = Api::all(client.clone());
    nodes.create(&Default::default(), &node).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    let port = kubernetes.port();
    fs::create_dir(folder.path().join("kubernetes")).unwrap();
    let configuration = format!(
        "apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.35.4
controlPlaneEndpoint: 127.0.0.1:{port}
networking: {{serviceSubnet: 10.0.0.0/24}}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {{advertiseAddress: 192.0.2.11}}
nodeRegistration: {{name: node-1, criSocket: unix:///run/containerd/containerd.sock}}
"
    );
    fs::write(folder.path().join("kubeadm.yaml"), configuration).unwrap();
    let kubeconfig = kubernetes.kubeconfig_file();
    let steps = format!(
        "set -e; mount -t tmpfs tmpfs /etc; mkdir /etc/kubernetes; mount --bind {root}/kubernetes /etc/kubernetes
        for name in admin super-admin; do cp {kubeconfig} /etc/kubernetes/$name.conf; done
        exec {kubeadm} init --config {root}/kubeadm.yaml --ignore-preflight-errors NumCPU --skip-token-print \
            --skip-certificate-key-print --skip-phases={phases},kubelet-finalize",
        kubeconfig = kubeconfig.display(),
        kubeadm = fs::canonicalize(sim::newest_build("kubeadm")).unwrap().with_file_name("kubeadm").display(),
        phases = phases("local_phases").join(","),
    );
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &steps])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    let node = nodes.get("node-1").await.unwrap();
    let labels = node.metadata.labels.unwrap_or_default();
    assert!(
        labels.contains_key("node-role.kubernetes.io/control-plane"),
        "{said}"
    );
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-system");
    for name in ["kubeadm-config", "kubelet-config", "kube-proxy", "coredns"] {
        assert!(maps.get_opt(name).await.unwrap().is_some(), "{name}: {said}");
    }
    let made: Vec<_> = fs::read_dir(folder.path().join("kubernetes"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with("admin.conf"))
        .collect();
    assert_eq!(made, [""; 0], "{said}");
}
