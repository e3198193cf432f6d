//! The bootstrap script as a program, with the programs that it calls played.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::process::Command;

/// A folder with the bootstrap script for it, and programs in the place of those that it calls: they write down how they were
/// called, and fail where a file `fail-NAME` says so.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap().to_owned();
        let mut script = include_str!("../src/bootstrap/bootstrap.sh").to_owned();
        for path in [
            "/etc/kubernetes",
            "/etc/keepalived",
            "/etc/systemd",
            "/var/lib/",
            "/sys/class/net",
        ] {
            script = script.replace(path, &format!("{root}{path}"));
        }
        fs::write(folder.path().join("bootstrap.sh"), script).unwrap();
        for path in ["bin", "sys/class/net/eth0", "var/lib/gantry/bootstrap/pki/etcd"] {
            fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        fs::write(
            folder.path().join("sys/class/net/eth0/address"),
            "52:54:00:00:00:01\n",
        )
        .unwrap();
        for name in ["kubeadm", "kubectl", "systemctl"] {
            let text = format!("#!/bin/sh\necho {name} $* >> {root}/calls\n[ ! -e {root}/fail-{name} ]\n");
            Self::program(&folder, name, &text);
        }
        Self::program(
            &folder,
            "ip",
            "#!/bin/sh\necho '2: eth0 inet 192.0.2.11/24 scope global'\n",
        );
        Self(folder)
    }

    fn program(folder: &tempfile::TempDir, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = folder.path().join("bin").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn put(&self, path: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    /// Runs the script; exit status, stages, and what kubeadm was called for.
    fn run(&self, what: &str) -> (i32, Vec<String>, Vec<String>) {
        let calls = self.0.path().join("calls");
        let _ = fs::remove_file(&calls);
        let path = format!(
            "{}/bin:{}",
            self.0.path().display(),
            std::env::var("PATH").unwrap()
        );
        let output = Command::new("sh")
            .arg(self.0.path().join("bootstrap.sh"))
            .args([what, "52:54:00:00:00:01", "192.0.2.11", "NumCPU"])
            .env("PATH", path)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let stages = text
            .lines()
            .filter_map(|line| line.strip_prefix("gantry-stage: "));
        let calls = fs::read_to_string(calls).unwrap_or_default();
        let kubeadm = calls.lines().filter_map(|line| line.strip_prefix("kubeadm "));
        let verb = |line: &str| line.split(' ').next().unwrap().to_owned();
        (
            output.status.code().unwrap(),
            stages.map(str::to_owned).collect(),
            kubeadm.map(verb).collect(),
        )
    }
}

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
        fs::remove_file(machine.0.path().join("fail-kubeadm")).unwrap();
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
        let calls = fs::read_to_string(machine.0.path().join("calls")).unwrap_or_default();
        let is_member = what == "join-control-plane" && left.ends_with("etcd.yaml");
        assert_eq!(calls.contains(goes_on), is_member, "{what} with {left}: {calls}");
    }
}

#[test]
fn the_bootstrap_script_is_good_shell() {
    let script = include_str!("../src/bootstrap/bootstrap.sh");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bootstrap.sh");
    fs::write(&path, script).unwrap();
    let output = Command::new("sh").arg("-n").arg(&path).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
