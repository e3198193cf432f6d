//! A member of a control plane in a folder, with the programs that the scripts call.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub(crate) const SCRIPT: &str = concat!(
    include_str!("../../src/renewal/files.sh"),
    "\n",
    include_str!("../../src/renewal/restart.sh")
);
/// What the installer runs.
pub(crate) const ENDED: &str = concat!(
    include_str!("../../src/renewal/files.sh"),
    "\n",
    include_str!("../../src/renewal/ended.sh")
);
pub(crate) const PATHS: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
pub(crate) const COMPONENTS: [(&str, u16); 4] = [
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
if [ "$1" = version ]; then echo v1.35.4; exit; fi
if [ "$1 $2 $3 $4 $5" = "init phase kubeconfig kubelet --node-name" ]; then
    [ ! -e @ROOT@/fail-kubelet ] || exit 1
    {
        echo "    server: https://${10}:6443"
        echo "    client-certificate-data: $(echo certificate of $6 | base64)"
        echo "    client-key-data: $(echo PRIVATE KEY of $6 | base64)"
    } > "$8/kubelet.conf"
    exit
fi
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
pub(crate) struct Machine {
    pub(crate) folder: tempfile::TempDir,
}

impl Machine {
    /// With every program played.
    pub(crate) fn new() -> Self {
        Self::with(SCRIPT)
    }

    /// With this script.
    pub(crate) fn with(script: &str) -> Self {
        let machine = Self::bare(script);
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
    pub(crate) fn bare(script: &str) -> Self {
        let machine = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let root = machine.folder.path().to_str().unwrap();
        let mut script = script.replace(PATHS, &format!("PATH={root}/bin:$PATH"));
        for path in ["/etc/kubernetes", "/run/", "/proc/[", "/var/lib"] {
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

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn program(&self, name: &str, text: &str) {
        let path = format!("bin/{name}");
        self.write(
            &path,
            &text.replace("@ROOT@", self.folder.path().to_str().unwrap()),
        );
        fs::set_permissions(self.path(&path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    pub(crate) fn command(&self, seconds: u32) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec sh \"$1\" 192.0.2.11 \"$2\" 3> \"$3\"", "run"])
            .arg(self.path("renew.sh"))
            .arg(seconds.to_string())
            .arg(self.path("report"))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, seconds: u32) -> Output {
        self.command(seconds).output().unwrap()
    }

    /// Every file of `/etc/kubernetes`.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, String> {
        let mut files = BTreeMap::new();
        collect(&self.path("etc/kubernetes"), &mut files);
        files
    }

    pub(crate) fn manifest(&self, name: &str) -> serde_json::Value {
        let text = self.read(&format!("etc/kubernetes/manifests/{name}.yaml"));
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Whether each key is of its certificate, and each manifest whole.
    pub(crate) fn is_sound(&self) {
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

pub(crate) fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
