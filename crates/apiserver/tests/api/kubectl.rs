//! The real kubectl over TLS. Without one on the path (or in `$KUBECTL`) the test says that it was skipped.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use serde_json::json;

use crate::fixture::{Fixture, widget};
use crate::tls::{Listener, token};

fn kubectl() -> Option<PathBuf> {
    let given = std::env::var_os("KUBECTL").map(PathBuf::from);
    given.or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path)
            .map(|dir| dir.join("kubectl"))
            .find(|file| file.is_file())
    })
}

/// kubectl with a home of its own, so that no cache of another run is read.
struct Tool {
    program: PathBuf,
    home: PathBuf,
    /// Every unexpected output, so that one run shows them all.
    faults: Mutex<Vec<String>>,
}

impl Tool {
    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(&self.program)
            .args(arguments)
            .arg("--kubeconfig")
            .arg(self.home.join("config"))
            .arg("--request-timeout=20s")
            .env("HOME", &self.home)
            .env("KUBE_EDITOR", self.home.join("editor"))
            .current_dir(&self.home)
            .output()
            .unwrap()
    }

    /// Runs and expects success and every one of `texts` in the output.
    fn good(&self, line: &str, texts: &[&str]) -> String {
        let output = self.run(&line.split(' ').collect::<Vec<_>>());
        let shown = show(&output);
        let lacking = texts.iter().find(|text| !shown.contains(**text));
        self.expect(
            output.status.success() && lacking.is_none(),
            line,
            &format!("{lacking:?}"),
            &shown,
        );
        shown
    }

    /// Runs and expects failure with `text`.
    fn bad(&self, line: &str, text: &str) {
        let output = self.run(&line.split(' ').collect::<Vec<_>>());
        let shown = show(&output);
        self.expect(
            !output.status.success() && shown.contains(text),
            line,
            text,
            &shown,
        );
    }

    fn expect(&self, holds: bool, line: &str, wanted: &str, shown: &str) {
        if !holds {
            self.faults
                .lock()
                .unwrap()
                .push(format!("$ kubectl {line}\nwanted {wanted}, got\n{shown}"));
        }
    }

    fn file(&self, name: &str, text: &str) {
        std::fs::write(self.home.join(name), text).unwrap();
    }
}

fn show(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

async fn tool(f: &Fixture, listener: &Listener) -> Option<Tool> {
    let program = kubectl()?;
    let home = f.dir.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let config = listener.kubeconfig(&token("fake-admin-token")).to_string();
    std::fs::write(home.join("config"), config).unwrap();
    editor(&home.join("editor"));
    Some(Tool {
        program,
        home,
        faults: Mutex::default(),
    })
}

fn editor(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(
        path,
        "#!/bin/sh\nsed -i 's/size: .*/size: 42/; s/k: .*/k: edited/' \"$1\"\n",
    )
    .unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

const WIDGET: &str =
    "apiVersion: example.dev/v1\nkind: Widget\nmetadata: {name: w, labels: {a: b}}\nspec: {size: 3}\n";
const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {k: v, l: w}\n";

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_works_on_custom_and_core_kinds() {
    let f = Fixture::new().await;
    let listener = Listener::start(&f).await;
    let Some(tool) = tool(&f, &listener).await else {
        eprintln!("skipped: no kubectl found");
        return;
    };
    tokio::task::spawn_blocking(move || {
        custom(&tool);
        core(&tool);
        discovery(&tool);
        product(&tool);
        lists(&tool);
        let faults = tool.faults.lock().unwrap();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    })
    .await
    .unwrap();
    listener.cancel.cancel();
}

fn custom(tool: &Tool) {
    tool.file("w.yaml", WIDGET);
    tool.good("apply -f w.yaml", &["widget.example.dev/w created"]);
    tool.good("apply -f w.yaml", &["widget.example.dev/w unchanged"]);
    tool.good("get widgets", &["NAME", "SIZE", "READY", "AGE"]);
    tool.good("get wd w -o wide", &["COLOUR", "red"]);
    tool.good("get wd -l a=b -o yaml", &["size: 3"]);
    tool.good("get wd -l a=c", &["No resources found"]);
    tool.good("get all", &["SIZE", "w "]);
    tool.file("w.yaml", &WIDGET.replace("size: 3", "size: 4"));
    tool.bad("diff -f w.yaml", "+  size: 4");
    tool.good("apply -f w.yaml", &["widget.example.dev/w configured"]);
    tool.good("edit widget w", &["widget.example.dev/w edited"]);
    tool.good("get widget w -o jsonpath={.spec.size}", &["42"]);
    tool.good(r#"patch wd w --type=merge -p {"spec":{"size":5}}"#, &["patched"]);
    tool.good(
        r#"patch wd w --type=json -p [{"op":"replace","path":"/spec/size","value":6}]"#,
        &["patched"],
    );
    tool.good("label wd w c=d", &["labeled"]);
    tool.good("annotate wd w e=f", &["annotated"]);
    tool.file("bad.yaml", &WIDGET.replace("size: 3", "sise: 3"));
    tool.bad("apply -f bad.yaml", "unknown field \"spec.sise\"");
    tool.bad(
        r#"patch wd w --type=merge -p {"spec":{"size":0}}"#,
        "greater than or equal to 1",
    );
    tool.good(
        "apply --server-side --field-manager=other --force-conflicts -f w.yaml",
        &["serverside-applied"],
    );
    tool.file("w.yaml", &WIDGET.replace("size: 3", "size: 9"));
    tool.bad("apply --server-side --field-manager=third -f w.yaml", "conflict");
    tool.good("describe widget w", &["Name:", "Size:", "Events:"]);
    let status = r#"patch wd w --subresource=status --type=merge -p {"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#;
    tool.good(status, &["patched"]);
    tool.good("wait --for=condition=Ready wd/w --timeout=5s", &["condition met"]);
    tool.good("get wd w", &["True"]);
    tool.good("delete wd w", &["deleted"]);
    tool.good("create -f w.yaml", &["created"]);
    tool.good("delete -f w.yaml --wait=true", &["deleted"]);
    tool.bad("get wd w", "NotFound");
}

fn core(tool: &Tool) {
    tool.file("m.yaml", MAP);
    tool.good("apply -f m.yaml", &["configmap/m created"]);
    tool.file("m.yaml", &MAP.replace(", l: w", ""));
    tool.good("apply -f m.yaml", &["configmap/m configured"]);
    let shown = tool.good("get cm m -o jsonpath={.data}", &[]);
    tool.expect(shown == r#"{"k":"v"}"#, "get cm m", "one key", &shown);
    tool.good("edit cm m", &["configmap/m edited"]);
    tool.good("get cm m -o jsonpath={.data.k}", &["edited"]);
    tool.good(r#"patch cm m -p {"data":{"z":"1"}}"#, &["patched"]);
    tool.good("get cm", &["DATA"]);
    migration(tool);
    tool.good(
        "create secret generic s --from-literal=a=b",
        &["secret/s created"],
    );
    tool.good("get secrets", &["Opaque"]);
    tool.good("describe secret s", &["1 bytes"]);
    tool.good("create namespace rack", &["namespace/rack created"]);
    tool.good("get ns", &["rack", "Active"]);
    tool.good("delete namespace rack", &["deleted"]);
    tool.good("get events", &[]);
}

/// From `kubectl apply` to `kubectl apply --server-side`: no conflict with itself, and no key that stays for ever.
fn migration(tool: &Tool) {
    let map =
        |data: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: moved}}\ndata: {data}\n");
    let data = |expected: &str| {
        let shown = tool.good("get cm moved -o jsonpath={.data}", &[]);
        tool.expect(shown == expected, "get cm moved", expected, &shown);
    };
    tool.file("moved.yaml", &map("{a: '1', b: '2'}"));
    tool.good("apply -f moved.yaml", &["configmap/moved created"]);
    tool.file("moved.yaml", &map("{a: '9', b: '2'}"));
    tool.good("apply --server-side -f moved.yaml", &["serverside-applied"]);
    data(r#"{"a":"9","b":"2"}"#);
    tool.file("moved.yaml", &map("{a: '9'}"));
    tool.good("apply --server-side -f moved.yaml", &["serverside-applied"]);
    data(r#"{"a":"9"}"#);
    tool.good("delete cm moved", &["deleted"]);
}

fn discovery(tool: &Tool) {
    tool.good(
        "api-resources",
        &["widgets", "wd", "example.dev/v1", "configmaps"],
    );
    tool.good("api-versions", &["example.dev/v1"]);
    tool.good("explain widget.spec.size", &["How large it is."]);
    tool.good("explain widget --recursive", &["parts"]);
    tool.good("version", &["Server Version: v1.35"]);
    tool.good("auth whoami", &["admin", "system:masters"]);
    tool.good("auth can-i delete widgets", &["yes"]);
    tool.good("get crd", &["widgets.example.dev"]);
    tool.good("get --raw /readyz", &["ok"]);
}

const HARDWARE: &str = "apiVersion: tinkerbell.org/v1alpha1
kind: Hardware
metadata: {name: node-1, labels: {type: cp}}
spec:
  disks: [{device: /dev/sdb}]
  metadata: {instance: {id: '52:54:00:00:00:01', hostname: node-1}}
  interfaces:
  - dhcp: {mac: '52:54:00:00:00:01', hostname: node-1, ip: {address: 192.0.2.5, netmask: 255.255.255.0}}
    netboot: {allowPXE: true, allowWorkflow: true}
";
const CLUSTER: &str = "apiVersion: anywhere.eks.amazonaws.com/v1alpha1
kind: Cluster
metadata: {name: spine}
spec:
  kubernetesVersion: '1.35'
  controlPlaneConfiguration: {count: 1, endpoint: {host: 192.0.2.9}, machineGroupRef: {kind: TinkerbellMachineConfig, name: cp}}
  datacenterRef: {kind: TinkerbellDatacenterConfig, name: rack}
  clusterNetwork: {cniConfig: {flannel: {}}, pods: {cidrBlocks: [10.1.0.0/16]}, services: {cidrBlocks: [10.2.0.0/16]}}
  managementCluster: {name: spine}
";

/// The kinds of the product, as the users' documents use them.
fn product(tool: &Tool) {
    tool.file("hardware.yaml", HARDWARE);
    tool.good(
        "apply -f hardware.yaml",
        &["hardware.tinkerbell.org/node-1 created"],
    );
    tool.good("apply -f hardware.yaml", &["unchanged"]);
    tool.good("get hardware -o wide", &["NAME", "node-1"]);
    tool.good("get hw -l type=cp -o name", &["hardware.tinkerbell.org/node-1"]);
    tool.good("describe hw node-1", &["52:54:00:00:00:01", "Events:"]);
    tool.good("explain hardware.spec.interfaces.dhcp", &["mac"]);
    tool.good(
        "label hw node-1 v1alpha1.tinkerbell.org/ownerName=x",
        &["labeled"],
    );
    tool.file("bad-hardware.yaml", &HARDWARE.replace("allowPXE", "allowPxe"));
    tool.bad(
        "apply -f bad-hardware.yaml",
        "unknown field \"spec.interfaces[0].netboot.allowPxe\"",
    );
    tool.file("cluster.yaml", CLUSTER);
    tool.good("apply --server-side -f cluster.yaml", &["serverside-applied"]);
    let status = r#"patch clusters.anywhere.eks.amazonaws.com spine --subresource=status --type=merge -p {"status":{"phase":"Ready"}}"#;
    tool.good(status, &["patched"]);
    tool.good(
        "get clusters.anywhere.eks.amazonaws.com",
        &["VERSION", "1.35", "Ready"],
    );
    tool.good(
        "wait --for=jsonpath={.status.phase}=Ready cluster.anywhere.eks.amazonaws.com/spine --timeout=5s",
        &["condition met"],
    );
    tool.good("delete -f cluster.yaml -f hardware.yaml", &["deleted"]);
}

/// Before kubectl sends the items of a `List` it reads the definitions of OpenAPI v2.
fn lists(tool: &Tool) {
    const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: bmc}\ntype: Opaque\nstringData: {username: fake-user}\n";
    const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: rack}\n";
    let list = |documents: &[&str]| {
        let item = |document: &&str| document.trim_end().replace('\n', "\n  ");
        let items: Vec<String> = documents
            .iter()
            .map(|document| format!("- {}\n", item(document)))
            .collect();
        format!("apiVersion: v1\nkind: List\nitems:\n{}", items.concat())
    };
    let documents = [HARDWARE, CLUSTER, SECRET, NAMESPACE, MAP, WIDGET];
    tool.good("delete configmap m", &["deleted"]);
    tool.file("list.yaml", &list(&documents));
    let created = [
        "node-1",
        "spine",
        "bmc",
        "rack",
        "configmap/m",
        "widget.example.dev/w",
    ];
    tool.good("apply --server-side -f list.yaml", &created);
    tool.good("apply -f list.yaml", &created);
    tool.file(
        "bad-list.yaml",
        &list(&[SECRET, &HARDWARE.replace("allowPXE", "allowPxe")]),
    );
    tool.bad(
        "apply -f bad-list.yaml",
        "unknown field \"spec.interfaces[0].netboot.allowPxe\"",
    );
    tool.good("delete -f list.yaml", &["deleted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_watches() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let f = Fixture::new().await;
    let listener = Listener::start(&f).await;
    let Some(tool) = tool(&f, &listener).await else {
        eprintln!("skipped: no kubectl found");
        return;
    };
    let mut child = tokio::process::Command::new(&tool.program)
        .args(["get", "widgets", "-w", "--kubeconfig"])
        .arg(tool.home.join("config"))
        .env("HOME", &tool.home)
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    f.create(widget("first", json!({"size": 1}))).await.unwrap();
    let next = async |lines: &mut tokio::io::Lines<BufReader<tokio::process::ChildStdout>>| {
        let line = tokio::time::timeout(std::time::Duration::from_secs(20), lines.next_line()).await;
        line.unwrap().unwrap().unwrap()
    };
    assert!(next(&mut lines).await.starts_with("NAME"));
    assert!(next(&mut lines).await.starts_with("first"));
    f.create(widget("second", json!({"size": 1}))).await.unwrap();
    assert!(next(&mut lines).await.starts_with("second"));
    child.kill().await.unwrap();
    listener.cancel.cancel();
}
