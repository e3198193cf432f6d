//! A machine in a folder, with the programs that the bootstrap script calls.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use sha2::{Digest as _, Sha256};

const IMAGE: &str = "registry.k8s.io/etcd:3.6.6-0";

/// kubeadm: names and pulls the image of etcd beside what it is called for.
const KUBEADM: &str = r#"#!/bin/sh
case "$*" in
"config images list"*) printf 'registry.k8s.io/pause:3.10.1\n@IMAGE@\n'; exit ;;
"config images pull"*) echo @IMAGE@ >> @ROOT@/images ;;
esac
echo kubeadm $* >> @ROOT@/calls
[ ! -e @ROOT@/fail-kubeadm ]
"#;

/// containerd's client: its images are lines of the file `images`, and what it mounts holds `etcdutl`. As the real one it
/// mounts no image that it does not have, and nothing where something is mounted.
const CTR: &str = r#"#!/bin/sh
[ "$1 $2 $3" = "-n k8s.io images" ] || exit 2
shift 3
case $1 in
ls) cat @ROOT@/images ;;
mount)
    grep -qxF "$2" @ROOT@/images && [ -z "$(ls -A "$3")" ] || exit 1
    mkdir -p "$3/usr/local/bin" && cp @ROOT@/etcdutl "$3/usr/local/bin/etcdutl"
    ;;
unmount) rm -r "$3/usr" ;;
esac
"#;

/// etcdutl: the data that it makes of a snapshot is the snapshot.
const ETCDUTL: &str = r#"#!/bin/sh
echo etcdutl $* >> @ROOT@/calls
[ "$1 $2" = "snapshot restore" ] || exit 2
[ "$4" = --data-dir ] && [ ! -e "$5" ] || exit 2
mkdir -p "$5/member/snap"
[ ! -e @ROOT@/fail-etcdutl ] || exit 1
cp "$3" "$5/member/snap/db"
"#;

/// Where the files of the document lie.
pub(crate) const STAGE: &str = "var/lib/gantry/bootstrap";
pub(crate) const SNAPSHOT: &str = "var/lib/gantry/bootstrap/etcd-snapshot.db";

/// A folder with the bootstrap script for it, and programs in the place of those that it calls: they write down how they were
/// called, and fail where a file `fail-NAME` says so.
pub(crate) struct Machine(tempfile::TempDir);

impl Machine {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap().to_owned();
        let mut script = include_str!("../../src/bootstrap/bootstrap.sh").to_owned();
        for path in [
            "/etc/kubernetes",
            "/etc/keepalived",
            "/etc/containerd",
            "/etc/chrony",
            "/etc/pki",
            "/usr/local/share",
            "/etc/systemd",
            "/run/systemd",
            "/var/lib/",
            "/sys/class/net",
        ] {
            script = script.replace(path, &format!("{root}{path}"));
        }
        fs::write(folder.path().join("bootstrap.sh"), script).unwrap();
        for path in [
            "bin",
            "sys/class/net/eth0",
            "var/lib/gantry/bootstrap/pki/etcd",
            "etc/containerd",
        ] {
            fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        fs::write(
            folder.path().join("sys/class/net/eth0/address"),
            "52:54:00:00:00:01\n",
        )
        .unwrap();
        for name in [
            "containerd",
            "kubelet",
            "kubectl",
            "systemctl",
            "update-ca-certificates",
        ] {
            let text = format!("#!/bin/sh\necho {name} $* >> {root}/calls\n[ ! -e {root}/fail-{name} ]\n");
            Self::program(&folder, &format!("bin/{name}"), &text);
        }
        for (path, text) in [("bin/kubeadm", KUBEADM), ("bin/ctr", CTR), ("etcdutl", ETCDUTL)] {
            let text = text.replace("@ROOT@", &root).replace("@IMAGE@", IMAGE);
            Self::program(&folder, path, &text);
        }
        fs::write(folder.path().join("images"), format!("{IMAGE}\n")).unwrap();
        Self::program(
            &folder,
            "bin/ip",
            "#!/bin/sh\necho '2: eth0 inet 192.0.2.11/24 scope global'\n",
        );
        let machine = Self(folder);
        // What holds the control-plane address, unless a test takes it away.
        for file in ["keepalived.conf.in", "keepalived.yaml"] {
            machine.put(&format!("{STAGE}/{file}"));
        }
        machine
    }

    /// Puts another program in the place of one that the script calls; `@ROOT@` in it is the folder.
    pub(crate) fn play(&self, name: &str, text: &str) {
        let root = self.0.path().to_str().unwrap();
        Self::program(&self.0, &format!("bin/{name}"), &text.replace("@ROOT@", root));
    }

    fn program(folder: &tempfile::TempDir, path: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = folder.path().join(path);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn put(&self, path: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// Puts a snapshot there as the first boot does: the data, then their SHA-256; and what restores it.
    pub(crate) fn download(&self, data: &[u8]) {
        let functions = self.path(SNAPSHOT).with_file_name("restore-etcd.sh");
        fs::write(functions, node_config::restore_etcd_script()).unwrap();
        let snapshot = [data, &Sha256::digest(data)].concat();
        fs::write(self.path(SNAPSHOT), snapshot).unwrap();
    }

    /// All calls of the last run but those of systemctl and kubectl, without the folder.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        let root = self.0.path().display().to_string();
        let own = calls
            .lines()
            .filter(|line| !line.starts_with("systemctl") && !line.starts_with("kubectl"));
        own.map(|line| line.replace(&root, "")).collect()
    }

    /// Runs the script.
    pub(crate) fn output(&self, what: &str) -> Output {
        let path = format!(
            "{}/bin:{}",
            self.0.path().display(),
            std::env::var("PATH").unwrap()
        );
        self.output_with_path(what, &path)
    }

    /// As [`Self::run`], on a machine that has the programs of every system and those of this folder, and no others.
    pub(crate) fn run_only_with_own_programs(&self, what: &str) -> (i32, Vec<String>, Vec<String>) {
        let common = [
            "cat", "chmod", "cp", "grep", "ls", "mkdir", "mktemp", "mv", "rm", "sed", "sh", "sleep", "sync",
            "tail",
        ];
        let folder = self.path("usr/bin");
        fs::create_dir_all(&folder).unwrap();
        for name in common {
            let found = ["/bin", "/usr/bin"].map(|bin| PathBuf::from(bin).join(name));
            let found = found.into_iter().find(|path| path.exists()).unwrap();
            std::os::unix::fs::symlink(found, folder.join(name)).unwrap();
        }
        let path = format!("{}:{}", self.path("bin").display(), folder.display());
        self.seen(&self.output_with_path(what, &path))
    }

    fn output_with_path(&self, what: &str, path: &str) -> Output {
        let _ = fs::remove_file(self.path("calls"));
        let [mac, address] = match what.ends_with("-found") {
            true => ["-", "-"],
            false => ["52:54:00:00:00:01", "192.0.2.11"],
        };
        let verb = what.trim_end_matches("-older").trim_end_matches("-found");
        Command::new("/bin/sh")
            .arg(self.path("bootstrap.sh"))
            .args([verb, mac, address, "NumCPU"])
            .args(what.starts_with("restore").then_some("node-1"))
            .args((what == "restore-older").then_some("older"))
            .env("PATH", path)
            .output()
            .unwrap()
    }

    /// Runs the script; exit status, stages, and what kubeadm was called for.
    pub(crate) fn run(&self, what: &str) -> (i32, Vec<String>, Vec<String>) {
        self.seen(&self.output(what))
    }

    fn seen(&self, output: &Output) -> (i32, Vec<String>, Vec<String>) {
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        let stages = text
            .lines()
            .filter_map(|line| line.strip_prefix("gantry-stage: "));
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        let kubeadm = calls.lines().filter_map(|line| line.strip_prefix("kubeadm "));
        let verb = |line: &str| line.split(' ').next().unwrap().to_owned();
        (
            output.status.code().unwrap(),
            stages.map(str::to_owned).collect(),
            kubeadm.map(verb).collect(),
        )
    }
}
