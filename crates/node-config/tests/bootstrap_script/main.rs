//! The bootstrap script as a program, with the programs that it calls played.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod address;
mod brought_images;
mod found;
mod machine;

use std::fs;
use std::path::Path;
use std::process::Command;

use machine::{Machine, SNAPSHOT};

#[test]
fn the_bootstrap_script_names_its_stages_and_runs_once() {
    for (what, kubeadm) in [("init", "init"), ("join", "join"), ("join-control-plane", "join")] {
        let machine = Machine::new();
        let stage = format!("kubeadm-{kubeadm}");
        let (status, stages, calls) = machine.run(what);
        assert_eq!((status, calls), (0, vec![kubeadm.to_owned()]), "{what}");
        assert_eq!(stages, ["network", "containerd", stage.as_str()]);
        assert_eq!(machine.run(what), (0, vec![], vec![]), "{what} again");
    }
}

#[test]
fn the_clock_is_right_before_a_node_is_made() {
    let machine = Machine::new();
    machine.put("etc/systemd/timesyncd.conf.d/50-gantry.conf");
    machine.put("fail-systemctl");
    let (status, stages, calls) = machine.run("init");
    assert_eq!(
        (status, stages, calls.len()),
        (1, vec!["network".to_owned()], 0),
        "no time client"
    );
    fs::remove_file(machine.path("fail-systemctl")).unwrap();

    machine.put("run/systemd/timesync/synchronized");
    assert_eq!(machine.run("init").0, 0);
    let calls = fs::read_to_string(machine.path("calls")).unwrap();
    let at = |text: &str| calls.lines().position(|line| line.starts_with(text));
    let asked = at("systemctl restart systemd-timesyncd").unwrap();
    assert!(asked < at("kubeadm init").unwrap(), "{calls}");
}

#[test]
fn a_join_is_repeated_only_where_no_member_of_etcd_loses_its_data() {
    let none: [&str; 0] = [];
    let goes_on = "--skip-phases=preflight,control-plane-prepare,check-etcd,kubelet-start";
    for (what, left, status, kubeadm) in [
        ("init", "etc/kubernetes/manifests/etcd.yaml", 0, &["init"][..]),
        ("join", "var/lib/kubelet/x", 0, &["join"]),
        (
            "join-control-plane",
            "etc/kubernetes/pki/ca.crt",
            0,
            &["reset", "join"],
        ),
        (
            "join-control-plane",
            "etc/kubernetes/manifests/etcd.yaml",
            0,
            &["join"],
        ),
        ("join-control-plane", "var/lib/etcd/member/wal", 100, &none),
    ] {
        let machine = Machine::new();
        machine.put("fail-kubeadm");
        assert_eq!(machine.run(what).0, 1, "{what}");
        fs::remove_file(machine.path("fail-kubeadm")).unwrap();
        machine.put(left);
        let (found, _, calls) = machine.run(what);
        assert_eq!(
            (found, calls.as_slice()),
            (
                status,
                kubeadm
                    .iter()
                    .map(|verb| (*verb).to_owned())
                    .collect::<Vec<_>>()
                    .as_slice()
            ),
            "{what} with {left}"
        );
        let calls = fs::read_to_string(machine.path("calls")).unwrap_or_default();
        let is_member = what == "join-control-plane" && left.ends_with("etcd.yaml");
        assert_eq!(calls.contains(goes_on), is_member, "{what} with {left}: {calls}");
    }
}

const ADDITIONS: &str = r#"[plugins."@PLUGIN@".registry.configs."mirror:5000".auth]
  username = "u"
  password = "a \"b\" & | \\ c"
"#;

/// What containerd's configuration is before, and as TOML afterwards; with each it says where hosts.toml files are.
#[test]
fn containerd_gets_its_registries_once() {
    let own = include_str!("../../../../images/node/files/etc/containerd/config.toml");
    let (second, third) = ("io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images");
    let empty = format!("version = 2\n[plugins.\"{second}\".registry]\n  config_path = \"\"\n");
    let newer = format!(
        "version = 3\n[plugins.'{third}'.registry]\n  config_path = '/etc/containerd/certs.d:/etc/docker/certs.d'\n"
    );
    for (before, plugin) in [
        (Some(own), second),
        (Some(&empty), second),
        (Some("version = 2\n"), second),
        (Some(&newer), third),
        (None, second),
    ] {
        let machine = Machine::new();
        let root = machine.path("");
        let (config, hosts) = (
            root.join("etc/containerd/config.toml"),
            root.join("etc/containerd/certs.d"),
        );
        if let Some(before) = before {
            // The script of this test looks for its own folder.
            let before = before.replace("/etc/containerd/certs.d", hosts.to_str().unwrap());
            fs::write(&config, before).unwrap();
        }
        let additions = root.join("var/lib/gantry/bootstrap/containerd.toml.in");
        fs::write(&additions, ADDITIONS).unwrap();
        machine.put("fail-kubeadm");
        assert_eq!(machine.run("join").0, 1);
        let once = fs::read_to_string(&config).unwrap();
        fs::remove_file(root.join("fail-kubeadm")).unwrap();
        assert_eq!(machine.run("join").0, 0);
        assert_eq!(fs::read_to_string(&config).unwrap(), once, "{before:?}");
        assert!(!additions.exists());
        let calls = fs::read_to_string(root.join("calls")).unwrap();
        assert!(calls.contains("systemctl restart containerd.service"), "{calls}");
        let program = "import json, sys, tomllib; print(json.dumps(tomllib.load(open(sys.argv[1], 'rb'))))";
        let output = Command::new("python3")
            .args(["-c", program])
            .arg(&config)
            .output()
            .unwrap();
        assert!(output.status.success(), "{once}");
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let registry = &found["plugins"][plugin]["registry"];
        let path = registry["config_path"].as_str().unwrap();
        assert!(path.starts_with(hosts.to_str().unwrap()), "{once}");
        let auth = &registry["configs"]["mirror:5000"]["auth"];
        assert_eq!(auth["password"], "a \"b\" & | \\ c", "{once}");
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn certificates_are_installed_before_containerd_starts_anew() {
    let machine = Machine::new();
    assert_eq!(machine.run("join").0, 0);
    let calls = || fs::read_to_string(machine.path("calls")).unwrap();
    assert!(!calls().contains("update-ca-certificates"));
    let machine = Machine::new();
    machine.put("usr/local/share/ca-certificates/gantry-site.crt");
    assert_eq!(machine.run("join").0, 0);
    let calls = fs::read_to_string(machine.path("calls")).unwrap();
    let (installed, restarted) = (
        calls.find("update-ca-certificates").unwrap(),
        calls.find("restart containerd").unwrap(),
    );
    assert!(installed < restarted, "{calls}");
}

#[test]
fn a_snapshot_is_restored_before_kubeadm_init() {
    let machine = Machine::new();
    machine.download(b"data of etcd");
    let (status, stages, _) = machine.run("restore");
    assert_eq!(status, 0);
    assert_eq!(stages, ["network", "containerd", "etcd-restore", "kubeadm-init"]);
    let peer = "https://192.0.2.11:2380";
    let restored = format!(
        "etcdutl snapshot restore /{SNAPSHOT} --data-dir /var/lib/etcd.new --name node-1 \
         --initial-cluster node-1={peer} --initial-advertise-peer-urls {peer}"
    );
    let [first, second] = machine.calls().try_into().unwrap();
    assert_eq!(first, restored);
    assert!(second.starts_with("kubeadm init"), "{second}");
    let data = fs::read(machine.path("var/lib/etcd/member/snap/db")).unwrap();
    assert!(data.starts_with(b"data of etcd"));
    assert_eq!(mode(&machine.path("var/lib/etcd")), 0o700);
    // Nothing is left of the way there.
    for gone in [
        SNAPSHOT,
        "var/lib/gantry/bootstrap/restore-etcd.sh",
        "var/lib/etcd.new",
        "var/lib/gantry/bootstrap/etcd-image",
    ] {
        assert!(!machine.path(gone).exists(), "{gone}");
    }

    // The first boot was reset before it noted the end, and begins anew.
    machine.download(b"data of etcd");
    assert_eq!(machine.run("restore"), (0, vec![], vec![]));
    assert!(!machine.path(SNAPSHOT).exists());
}

/// Whoever watches the cluster must not take what comes for what it has seen.
#[test]
fn older_data_begin_at_a_much_later_revision() {
    let machine = Machine::new();
    machine.download(b"data of etcd");
    assert_eq!(machine.run("restore-older").0, 0);
    let [restored, init] = machine.calls().try_into().unwrap();
    assert!(
        restored.ends_with(" --bump-revision 1000000000 --mark-compacted"),
        "{restored}"
    );
    assert!(init.ends_with("--skip-phases=addon"), "{init}");
}

#[test]
fn a_restore_that_ends_early_is_repeated_from_its_beginning() {
    let machine = Machine::new();
    machine.download(b"data of etcd");
    machine.put("fail-etcdutl");
    assert_eq!(machine.run("restore").0, 1);
    assert!(machine.path("var/lib/etcd.new/member").exists());
    assert!(!machine.path("var/lib/etcd").exists());
    fs::remove_file(machine.path("fail-etcdutl")).unwrap();
    // As a reset leaves it: the image is mounted, and an empty directory of etcd is there.
    machine.put("var/lib/gantry/bootstrap/etcd-image/usr/local/bin/etcdutl");
    fs::create_dir_all(machine.path("var/lib/etcd")).unwrap();
    machine.put("fail-kubeadm");
    assert_eq!(machine.run("restore").0, 1);
    assert!(machine.path("var/lib/etcd/member/snap/db").exists());

    // From here on etcd may have written to its data.
    fs::write(machine.path("var/lib/etcd/member/snap/db"), "newer").unwrap();
    fs::remove_file(machine.path("fail-kubeadm")).unwrap();
    let (status, _, kubeadm) = machine.run("restore");
    assert_eq!((status, kubeadm), (0, vec!["init".to_owned()]));
    assert_eq!(machine.calls().len(), 1, "{:?}", machine.calls());
    assert_eq!(
        fs::read(machine.path("var/lib/etcd/member/snap/db")).unwrap(),
        b"newer"
    );
}

#[test]
fn an_image_that_is_not_there_is_pulled() {
    let machine = Machine::new();
    machine.download(b"data of etcd");
    fs::write(machine.path("images"), "registry.k8s.io/etcd:3.6.6-00\n").unwrap();
    let (status, _, kubeadm) = machine.run("restore");
    assert_eq!(
        (status, kubeadm),
        (0, vec!["config".to_owned(), "init".to_owned()])
    );
}

#[test]
fn a_damaged_snapshot_is_not_tried_again_and_other_data_stay() {
    for damage in ["changed", "cut", "empty"] {
        let machine = Machine::new();
        machine.download(b"data of etcd");
        let mut snapshot = fs::read(machine.path(SNAPSHOT)).unwrap();
        match damage {
            "changed" => snapshot[3] ^= 1,
            "cut" => snapshot.truncate(20),
            _ => snapshot.clear(),
        }
        fs::write(machine.path(SNAPSHOT), snapshot).unwrap();
        assert_eq!(machine.run("restore").0, 100, "{damage}");
        assert_eq!(machine.calls(), [""; 0], "{damage}");
        assert!(!machine.path("var/lib/etcd").exists(), "{damage}");
    }
    let machine = Machine::new();
    machine.download(b"data of etcd");
    machine.put("var/lib/etcd/lost+found/x");
    assert_eq!(machine.run("restore").0, 1);
    assert!(machine.path("var/lib/etcd/lost+found/x").exists());
    assert!(!machine.path("var/lib/etcd/member").exists());
}

/// A snapshot as etcd sends it: its database, then the SHA-256 of that.
#[tokio::test]
#[ignore = "needs etcd: gantry image build etcd"]
async fn real_etcdutl_restores_a_snapshot() {
    let mut members = sim::EtcdMembers::start(1);
    let (own, folder) = (members.client(), members.folder().to_owned());
    fs::write(folder.join("ca.pem"), members.ca()).unwrap();
    fs::write(folder.join("own.pem"), own.certificate + own.key.reveal()).unwrap();
    let healthy = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--fail",
            "--retry",
            "60",
            "--retry-all-errors",
            "--retry-delay",
            "1",
        ])
        .args(["--cacert", "ca.pem", "--cert", "own.pem"])
        .arg(format!("https://{}/health", members.endpoint(1)))
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(healthy.status.success(), "{healthy:?}");
    members.kill(1).await;
    let machine = Machine::new();
    machine.download(&fs::read(folder.join("1/data/member/snap/db")).unwrap());
    fs::copy(sim::newest_build("etcdutl"), machine.path("etcdutl")).unwrap();
    assert_eq!(machine.run("restore-older").0, 0);
    let logs = fs::read_dir(machine.path("var/lib/etcd/member/wal")).unwrap();
    assert!(logs.count() > 0);
    assert!(machine.path("var/lib/etcd/member/snap/db").exists());
    assert_eq!(mode(&machine.path("var/lib/etcd")), 0o700);
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn the_scripts_are_good_shell() {
    let bootstrap = include_str!("../../src/bootstrap/bootstrap.sh").to_owned();
    for script in [bootstrap, node_config::restore_etcd_script()] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("script.sh");
        fs::write(&path, script).unwrap();
        let output = Command::new("sh").arg("-n").arg(&path).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
