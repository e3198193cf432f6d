//! The script that renews the certificates of a member of a control plane, as a program: with the programs that it calls
//! played, and with the real kubeadm.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use node_config::RenewalReport;

const SCRIPT: &str = include_str!("../src/renewal/renew.sh");
const PATHS: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const COMPONENTS: [(&str, u16); 4] = [
    ("etcd", 2379),
    ("kube-apiserver", 6443),
    ("kube-controller-manager", 10257),
    ("kube-scheduler", 10259),
];

/// The listeners of the machine: the process of a component is another one when its manifest is, as a kubelet makes it. One in
/// the file `stuck` stays.
const SS: &str = r#"#!/bin/sh
case $2 in
*:2379) name=etcd ;;
*:6443) name=kube-apiserver ;;
*:10257) name=kube-controller-manager ;;
*:10259) name=kube-scheduler ;;
*) exit 2 ;;
esac
pid=$(cksum < @ROOT@/etc/kubernetes/manifests/$name.yaml | cut -d ' ' -f 1)
[ "$(cat @ROOT@/stuck 2> /dev/null)" != $name ] || pid=7
echo "ss $name" >> @ROOT@/calls
echo "LISTEN 0 4096 *:1 *:* users:((\"$name\",pid=$pid,fd=7))"
"#;

/// The API server: not ready where a file says so.
const KUBECTL: &str = r#"#!/bin/sh
echo kubectl $* >> @ROOT@/calls
[ ! -e @ROOT@/not-ready ] || { echo "etcd failed: reason withheld" >&2; exit 1; }
"#;

/// What a played kubeadm does: new keys and certificates, the key first.
const KUBEADM: &str = r#"#!/bin/sh
[ "$*" = "certs renew all" ] || exit 2
dir=$(cat @ROOT@/mounted)
[ ! -e @ROOT@/fail-kubeadm ] || exit 1
[ ! -e @ROOT@/external ] || exit 0
number=$(cat @ROOT@/number 2> /dev/null || echo 0)
number=$((number + 1))
echo $number > @ROOT@/number
for name in apiserver apiserver-kubelet-client front-proxy-client etcd/server etcd/peer; do
    echo "key $number" > "$dir/pki/$name.key"
    printf -- '-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n' "$(echo $name $number | base64)" > "$dir/pki/$name.crt"
done
for name in admin controller-manager scheduler; do
    echo "$name $number" > "$dir/$name.conf"
done
"#;

/// A member of a control plane in a folder.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    /// With every program played.
    fn new() -> Self {
        let machine = Self::bare(SCRIPT);
        for (name, text) in [
            ("kubeadm", KUBEADM),
            ("unshare", "#!/bin/sh\nshift\nexec \"$@\"\n"),
            (
                "mount",
                "#!/bin/sh\n[ \"$1 $3\" = \"--bind @ROOT@/etc/kubernetes\" ] || exit 2\necho \"$2\" > @ROOT@/mounted\n",
            ),
        ] {
            machine.program(name, text);
        }
        for name in [
            "ca",
            "etcd/ca",
            "apiserver",
            "apiserver-kubelet-client",
            "front-proxy-client",
            "etcd/server",
            "etcd/peer",
        ] {
            machine.write(
                &format!("etc/kubernetes/pki/{name}.crt"),
                &format!("old {name}\n"),
            );
            machine.write(&format!("etc/kubernetes/pki/{name}.key"), "old key\n");
        }
        for name in ["admin", "controller-manager", "scheduler", "kubelet"] {
            machine.write(&format!("etc/kubernetes/{name}.conf"), &format!("old {name}\n"));
        }
        machine
    }

    /// With manifests, and what a kubelet would do.
    fn bare(script: &str) -> Self {
        let machine = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let root = machine.folder.path().to_str().unwrap();
        let mut script = script.replace(PATHS, &format!("PATH={root}/bin:$PATH"));
        for path in ["/etc/kubernetes", "/run/", "/proc/["] {
            script = script.replace(path, &format!("{root}{path}"));
        }
        assert!(script.contains(&format!("PATH={root}/bin")));
        machine.write("renew.sh", &script);
        machine.write("run/x", "");
        machine.program("ss", SS);
        machine.program("kubectl", KUBECTL);
        for (name, _) in COMPONENTS {
            let annotations = match name {
                "etcd" | "kube-apiserver" => "  annotations:\n    kubeadm.kubernetes.io/x: 192.0.2.11\n",
                _ => "",
            };
            let text = format!(
                "apiVersion: v1\nkind: Pod\nmetadata:\n{annotations}  labels:\n    component: {name}\n  name: {name}\nspec:\n  containers: []\n"
            );
            machine.write(&format!("etc/kubernetes/manifests/{name}.yaml"), &text);
        }
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn program(&self, name: &str, text: &str) {
        let path = format!("bin/{name}");
        self.write(
            &path,
            &text.replace("@ROOT@", self.folder.path().to_str().unwrap()),
        );
        fs::set_permissions(self.path(&path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    fn command(&self, seconds: u32) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec sh \"$1\" 192.0.2.11 \"$2\" 3> \"$3\"", "run"])
            .arg(self.path("renew.sh"))
            .arg(seconds.to_string())
            .arg(self.path("report"))
            .stdin(Stdio::null());
        command
    }

    fn run(&self, seconds: u32) -> Output {
        self.command(seconds).output().unwrap()
    }

    /// Every file of `/etc/kubernetes`.
    fn files(&self) -> BTreeMap<PathBuf, String> {
        let mut files = BTreeMap::new();
        collect(&self.path("etc/kubernetes"), &mut files);
        files
    }

    fn manifest(&self, name: &str) -> serde_json::Value {
        let text = self.read(&format!("etc/kubernetes/manifests/{name}.yaml"));
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Whether each key is of its certificate, and each manifest whole.
    fn is_sound(&self) {
        let number = |text: &str| text.rsplit(' ').next().unwrap_or_default().trim().to_owned();
        for name in ["apiserver", "front-proxy-client", "etcd/server", "etcd/peer"] {
            let certificate = self.read(&format!("etc/kubernetes/pki/{name}.crt"));
            let key = self.read(&format!("etc/kubernetes/pki/{name}.key"));
            let of_certificate = match certificate.lines().nth(1) {
                None => "key".to_owned(),
                Some(line) => {
                    use base64::Engine as _;
                    let text = base64::engine::general_purpose::STANDARD.decode(line).unwrap();
                    number(&String::from_utf8(text).unwrap())
                }
            };
            assert_eq!(number(&key), of_certificate, "{name}: {certificate}");
        }
        for (name, _) in COMPONENTS {
            assert_eq!(self.manifest(name)["metadata"]["labels"]["component"], name);
        }
    }
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => collect(&entry.path(), files),
            false => drop(files.insert(entry.path(), fs::read_to_string(entry.path()).unwrap())),
        }
    }
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

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

#[test]
fn the_script_is_good_shell() {
    let machine = Machine::new();
    let output = Command::new("sh")
        .arg("-n")
        .arg(machine.path("renew.sh"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", words(&output));
}
