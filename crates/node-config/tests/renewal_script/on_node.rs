//! The script that a Pod runs on the node of a member.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use node_config::RenewalReport;

use crate::machine::{COMPONENTS, Machine, PATHS, SCRIPT, words};

#[test]
fn every_certificate_is_new_and_every_component_restarted_once() {
    let machine = Machine::new();
    let before = machine.files();
    let output = machine.run(300);
    assert!(output.status.success(), "{output:?}");
    let after = machine.files();
    let names = |files: &BTreeMap<PathBuf, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after), "nothing is left of the way there");
    for (path, text) in &after {
        let name = path.display().to_string();
        let stays = name.ends_with("/ca.crt") || name.ends_with("/ca.key") || name.ends_with("kubelet.conf");
        assert_eq!(before[path] == *text, stays, "{name}: {text}");
    }
    machine.is_sound();
    for (name, _) in COMPONENTS {
        let annotations = &machine.manifest(name)["metadata"]["annotations"];
        assert!(
            annotations["gantry.dev/certificates-renewed"].is_string(),
            "{annotations}"
        );
    }
    let said = String::from_utf8(output.stdout).unwrap();
    let restarted: Vec<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("restarting "))
        .collect();
    assert_eq!(restarted, COMPONENTS.map(|(name, _)| name));
    let calls = machine.read("calls");
    assert!(calls.contains("--server https://192.0.2.11:6443"), "{calls}");
    let report = RenewalReport::parse(&machine.read("report")).unwrap();
    use sha2::Digest as _;
    let sha256 = |text: &str| resources::Digest::new(sha2::Sha256::digest(text).into());
    assert_eq!(report.api_server, sha256("apiserver 1\n"));
    assert_eq!(report.etcd, sha256("etcd/server 1\n"));
}

/// kube-vip listens nowhere and reads its credentials when it starts. Its process is another one when its manifest is.
#[test]
fn kube_vip_is_restarted_last_where_it_is_there() {
    let machine = Machine::new();
    let manifest = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: kube-vip\nspec:\n  containers: []\n";
    machine.write("etc/kubernetes/manifests/kube-vip.yaml", manifest);
    machine.write("proc/1/comm", "systemd\n");
    machine.write("proc/77/comm", "kube-vip\n");
    machine.program(
        "sync",
        "#!/bin/sh\nif grep -q certificates-renewed @ROOT@/etc/kubernetes/manifests/kube-vip.yaml; then\n\
         [ ! -e @ROOT@/proc/77 ] || mv @ROOT@/proc/77 @ROOT@/proc/78; fi\n",
    );
    let output = machine.run(300);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("restarting kube-scheduler\nrestarting kube-vip\n"),
        "{said}"
    );
    let annotations = &machine.manifest("kube-vip")["metadata"]["annotations"];
    assert!(annotations["gantry.dev/certificates-renewed"].is_string());
    assert!(machine.path("proc/78").exists());

    // One that does not come back is said.
    machine.program("sync", "#!/bin/sh\n");
    let output = machine.run(1);
    assert!(
        words(&output).contains("kube-vip was not restarted within 1 s"),
        "{}",
        words(&output)
    );
}

#[test]
fn it_can_be_repeated() {
    let machine = Machine::new();
    for _ in 0..2 {
        assert!(machine.run(300).status.success());
        machine.is_sound();
        let text = machine.read("etc/kubernetes/manifests/kube-scheduler.yaml");
        assert_eq!(text.matches("certificates-renewed").count(), 1, "{text}");
        // The next mark is another one.
        std::thread::sleep(std::time::Duration::from_millis(1100));
    }
    assert_eq!(machine.read("number"), "2\n");
}

#[test]
fn what_keeps_it_from_being_done_is_said() {
    let cases: [(&str, &str, &str, bool); 6] = [
        ("fail-kubeadm", "", "", true),
        (
            "external",
            "",
            "is the key of its authority on this machine",
            true,
        ),
        ("stuck", "etcd", "etcd was not restarted within 1 s", false),
        (
            "stuck",
            "kube-scheduler",
            "kube-scheduler was not restarted within 1 s",
            false,
        ),
        (
            "not-ready",
            "",
            "the API server is not ready within 1 s: etcd failed: reason withheld",
            false,
        ),
        (
            "etc/kubernetes/manifests/etcd.yaml",
            "",
            "kubeadm has not made a member",
            true,
        ),
    ];
    for (file, text, why, unchanged) in cases {
        let machine = Machine::new();
        machine.write(file, text);
        let before = machine.files();
        let output = machine.run(1);
        assert_eq!(output.status.code(), Some(1), "{file} {text}");
        assert!(words(&output).contains(why), "{file} {text}: {}", words(&output));
        assert_eq!(before == machine.files(), unchanged, "{file} {text}");
        assert_eq!(machine.read("report"), "", "{file} {text}");
        if file.starts_with("etc") {
            continue;
        }
        machine.is_sound();
        // The same again does all of it.
        fs::remove_file(machine.path(file)).unwrap();
        assert!(machine.run(300).status.success(), "{file} {text}");
        machine.is_sound();
    }
}

#[test]
fn a_manifest_that_kubeadm_has_not_written_stays() {
    let machine = Machine::new();
    let text = "{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"labels\": {\"component\": \"etcd\"}}}\n";
    machine.write("etc/kubernetes/manifests/etcd.yaml", text);
    let output = machine.run(1);
    assert!(
        words(&output).contains("has no metadata as kubeadm writes it"),
        "{}",
        words(&output)
    );
    assert_eq!(machine.read("etc/kubernetes/manifests/etcd.yaml"), text);
}

/// Killed before each of its calls of `mv`, which change what is there: the rest is whole, and the next run does all of it.
#[test]
fn killed_anywhere_it_leaves_what_fits() {
    for call in 1.. {
        let machine = Machine::new();
        let mv = "#!/bin/sh\necho >> @ROOT@/moves\n[ $(wc -l < @ROOT@/moves) != \"$(cat @ROOT@/kill)\" ] || { kill -9 $PPID; exit 1; }\nexec /bin/mv \"$@\"\n";
        machine.program("mv", mv);
        machine.write("kill", &call.to_string());
        let output = machine.run(300);
        machine.is_sound();
        if output.status.success() {
            assert!(call > 12, "{call}");
            return;
        }
        machine.write("kill", "no");
        assert!(
            machine.run(300).status.success(),
            "after a kill before move {call}"
        );
        machine.is_sound();
        assert!(!machine.path("etc/kubernetes/.gantry-renewal").exists(), "{call}");
    }
}

#[test]
fn two_of_them_do_not_work_side_by_side() {
    let machine = Machine::new();
    machine.write("stuck", "etcd");
    let script = machine.read("renew.sh").replace("flock -w 30", "flock -n");
    machine.write("renew.sh", &script);
    let mut first = machine
        .command(300)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !machine.read("calls").contains("etcd") {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let output = machine.run(1);
    assert!(
        words(&output).contains("another renewal is at work"),
        "{}",
        words(&output)
    );
    fs::remove_file(machine.path("stuck")).unwrap();
    assert!(first.wait().unwrap().success());
}

/// With the real kubeadm, in a namespace where the folder is `/etc/kubernetes`.
#[test]
#[ignore = "needs kubeadm: gantry image build kubernetes"]
fn real_kubeadm_renews() {
    let machine = Machine::bare(SCRIPT);
    // This one works in the true place.
    let root = machine.folder.path().to_str().unwrap().to_owned();
    let script = SCRIPT
        .replace(PATHS, &format!("PATH={root}/bin:$PATH"))
        .replace("/run/", &format!("{root}/run/"));
    machine.write("renew.sh", &script);
    std::os::unix::fs::symlink(sim::newest_build("kubeadm"), machine.path("bin/kubeadm")).unwrap();
    machine.write("kubeadm.yaml", "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: v1.35.4\ncontrolPlaneEndpoint: 127.0.0.1:6443\ncertificateValidityPeriod: 240h0m0s\n---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nlocalAPIEndpoint:\n  advertiseAddress: 192.0.2.11\n");
    let steps = format!(
        "set -e; mount -t tmpfs tmpfs /etc; mkdir /etc/kubernetes; mount --bind {root}/etc/kubernetes /etc/kubernetes
        kubeadm=$(readlink -f {root}/bin/kubeadm); export PATH={root}/bin:$PATH
        kubeadm init phase certs all --config {root}/kubeadm.yaml
        kubeadm init phase kubeconfig all --config {root}/kubeadm.yaml
        cp -a /etc/kubernetes {root}/before
        exec sh {root}/renew.sh 192.0.2.11 10 3> {root}/report"
    );
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &steps])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        words(&output)
    );
    let report = RenewalReport::parse(&machine.read("report")).unwrap();
    assert_ne!(report.api_server, report.etcd);
    for name in [
        "apiserver",
        "apiserver-kubelet-client",
        "apiserver-etcd-client",
        "front-proxy-client",
        "etcd/server",
        "etcd/peer",
        "etcd/healthcheck-client",
    ] {
        let (before, after) = (format!("before/pki/{name}"), format!("etc/kubernetes/pki/{name}"));
        for ending in ["crt", "key"] {
            assert_ne!(
                machine.read(&format!("{before}.{ending}")),
                machine.read(&format!("{after}.{ending}")),
                "{name}.{ending}"
            );
        }
        let of = |path: &str, verb: &str| {
            let mut command = Command::new("openssl");
            command.args([verb, "-in"]).arg(machine.path(path));
            command.args(match verb {
                "x509" => ["-noout", "-pubkey"].as_slice(),
                _ => ["-pubout"].as_slice(),
            });
            let output = command.output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let public = of(&format!("{after}.crt"), "x509");
        assert!(public.contains("PUBLIC KEY"), "{name}");
        assert_eq!(public, of(&format!("{after}.key"), "pkey"), "{name}");
    }
    for name in ["admin", "super-admin", "controller-manager", "scheduler"] {
        assert_ne!(
            machine.read(&format!("before/{name}.conf")),
            machine.read(&format!("etc/kubernetes/{name}.conf")),
            "{name}"
        );
    }
    assert_eq!(
        machine.read("before/pki/ca.crt"),
        machine.read("etc/kubernetes/pki/ca.crt")
    );
}
