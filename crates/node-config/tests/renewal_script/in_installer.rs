//! The script that the installer runs in the system of a member whose certificates have ended.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

use crate::machine::{ENDED, Machine, PATHS, SCRIPT, words};

/// What the installer runs, for a node whose kubelet has a certificate that has ended, or for none.
fn in_installer(machine: &Machine, node: &str) -> Output {
    let mut command = Command::new("sh");
    command
        .arg(machine.path("renew.sh"))
        .arg(node)
        .stdin(Stdio::null());
    command.output().unwrap()
}

const CURRENT: &str = "var/lib/kubelet/pki/kubelet-client-current.pem";

#[test]
fn in_the_installer_files_are_renewed_and_nothing_is_restarted() {
    let machine = Machine::with(ENDED);
    machine.write("var/lib/kubelet/pki/old.pem", "old\n");
    std::os::unix::fs::symlink(machine.path("var/lib/kubelet/pki/old.pem"), machine.path(CURRENT)).unwrap();
    let before = machine.files();
    let output = in_installer(&machine, "");
    assert!(output.status.success(), "{}", words(&output));
    machine.is_sound();
    let after = machine.files();
    for (path, text) in &after {
        let name = path.display().to_string();
        let stays = ["/ca.crt", "/ca.key", "kubelet.conf", ".yaml"];
        let stays = stays.iter().any(|ending| name.ends_with(ending));
        assert_eq!(before[path] == *text, stays, "{name}: {text}");
    }
    assert_eq!(before.len(), after.len());
    assert_eq!(machine.read("calls"), "");
    assert_eq!(machine.read(CURRENT), "old\n");

    let output = in_installer(&machine, "node-1");
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(
        machine.read(CURRENT),
        "certificate of node-1\nPRIVATE KEY of node-1\n"
    );
    let target = fs::read_link(machine.path(CURRENT)).unwrap();
    let mode = fs::metadata(&target).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "{}", target.display());
    assert_eq!(machine.read("var/lib/kubelet/pki/old.pem"), "old\n");
    assert_eq!(machine.read("etc/kubernetes/kubelet.conf"), "old kubelet\n");
    assert!(!machine.path("etc/kubernetes/.gantry-renewal").exists());

    machine.write("fail-kubelet", "");
    let before = machine.read(CURRENT);
    assert_eq!(in_installer(&machine, "node-2").status.code(), Some(1));
    assert_eq!(machine.read(CURRENT), before);
}

/// With the real kubeadm, in a namespace where the folder is `/etc/kubernetes`, without a network.
#[test]
#[ignore = "needs kubeadm: gantry image build kubernetes"]
fn real_kubeadm_renews_in_the_installer() {
    let machine = Machine::bare(SCRIPT);
    let root = machine.folder.path().to_str().unwrap().to_owned();
    let script = ENDED
        .replace(PATHS, &format!("PATH={root}/bin:$PATH"))
        .replace("/run/", &format!("{root}/run/"))
        .replace("/var/lib", &format!("{root}/var/lib"));
    machine.write("renew.sh", &script);
    machine.write(CURRENT, "");
    std::os::unix::fs::symlink(sim::newest_build("kubeadm"), machine.path("bin/kubeadm")).unwrap();
    let steps = format!(
        "set -e; mount -t tmpfs tmpfs /etc; mkdir /etc/kubernetes; mount --bind {root}/etc/kubernetes /etc/kubernetes
        export PATH={root}/bin:$PATH
        kubeadm init phase certs all --apiserver-advertise-address 192.0.2.11 --kubernetes-version $(kubeadm version -o short)
        kubeadm init phase kubeconfig all --apiserver-advertise-address 192.0.2.11 --kubernetes-version $(kubeadm version -o short)
        cp -a /etc/kubernetes {root}/before
        exec sh {root}/renew.sh node-1"
    );
    let output = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "--net",
            "sh",
            "-c",
            &steps,
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        words(&output)
    );
    for name in ["apiserver", "etcd/server", "etcd/peer", "front-proxy-client"] {
        let (before, after) = (
            format!("before/pki/{name}.crt"),
            format!("etc/kubernetes/pki/{name}.crt"),
        );
        assert_ne!(machine.read(&before), machine.read(&after), "{name}");
    }
    let subject = Command::new("openssl")
        .args(["x509", "-noout", "-subject", "-in"])
        .arg(machine.path(CURRENT))
        .output()
        .unwrap();
    let subject = String::from_utf8(subject.stdout).unwrap();
    assert!(
        subject.contains("system:nodes") && subject.contains("system:node:node-1"),
        "{subject}"
    );
    assert!(machine.read(CURRENT).contains("PRIVATE KEY"));
}
