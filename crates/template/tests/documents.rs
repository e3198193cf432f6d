//! Templates as users have them, rendered to documents; and what is said of broken ones.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use resources::tinkerbell::Hardware;
use serde_json::json;
use template::{data, parse, render};

fn hardware() -> Hardware {
    serde_json::from_value(json!({
        "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware",
        "metadata": {"name": "node-1", "namespace": "eksa-system"},
        "spec": {
            "disks": [{"device": "/dev/nvme0n1"}, {"device": "/dev/sda"}],
            "userData": "#cloud-config",
            "interfaces": [{"dhcp": {
                "mac": "52:54:00:12:34:56", "hostname": "node-1", "name_servers": ["192.0.2.1", "192.0.2.2"],
                "ip": {"address": "192.0.2.10", "netmask": "255.255.255.0", "gateway": "192.0.2.254"},
                "vlan_id": "7"
            }}],
            "metadata": {"instance": {"id": "52:54:00:12:34:56", "hostname": "node-1", "ssh_keys": ["fake-key"]},
                "facility": {"facility_code": "onprem"}}
        }
    }))
    .unwrap()
}

fn hardware_map() -> BTreeMap<String, String> {
    BTreeMap::from([("device_1".to_owned(), "52:54:00:12:34:56".to_owned())])
}

fn rendered(text: &str) -> Result<String, template::Error> {
    render("ubuntu", text, &data(&hardware_map(), Some(&hardware())).unwrap())
}

const WORKFLOW: &str = r#"version: "0.1"
name: ubuntu
global_timeout: 6000
tasks:
  - name: node-1
    worker: "{{.device_1}}"
    volumes: [/dev:/dev, "/lib/firmware:/lib/firmware:ro"]
    environment: {ROOT: "2"}
    actions:
      - name: stream image
        image: quay.io/tinkerbell/actions/image2disk:v1.0.0
        timeout: 600
        environment:
          DEST_DISK: {{ index .Hardware.Disks 0 }}
          COMPRESSED: true
      - name: write netplan
        image: 127.0.0.1/embedded/writefile
        pid: host
        environment:
          DEST_DISK: {{ formatPartition (index .Hardware.Disks 0) 2 }}
          CONTENTS: |
            network:
              version: 2
              ethernets:
                id0:
                  match: {macaddress: "{{ (index .Hardware.Interfaces 0).DHCP.MAC }}"}
                  addresses: [{{ (index .Hardware.Interfaces 0).DHCP.IP.Address }}/{{ netmaskToPrefixLength (index .Hardware.Interfaces 0).DHCP.IP.Netmask }}]
                  nameservers: {addresses: [{{ (index .Hardware.Interfaces 0).DHCP.NameServers | join ", " }}]}
          {{- if (index .Hardware.Interfaces 0).DHCP.VLANID }}
          VLAN: {{ (index .Hardware.Interfaces 0).DHCP.VLANID }}
          {{- end }}
"#;

#[test]
fn a_template_in_the_style_of_eks_anywhere_gives_its_document() {
    let document = parse("ubuntu", &rendered(WORKFLOW).unwrap()).unwrap();
    assert_eq!(
        (document.name.as_str(), document.global_timeout),
        ("ubuntu", 6000)
    );
    let task = &document.tasks[0];
    assert_eq!(task.worker, "52:54:00:12:34:56");
    assert_eq!(task.environment["ROOT"], "2");
    let [stream, netplan] = task.actions.as_slice() else {
        panic!("{task:?}")
    };
    assert_eq!(stream.environment["DEST_DISK"], "/dev/nvme0n1");
    assert_eq!(
        stream.environment["COMPRESSED"], "true",
        "a scalar of any type is text in an environment"
    );
    assert_eq!((stream.timeout, netplan.timeout), (600, 3600));
    assert_eq!(netplan.environment["DEST_DISK"], "/dev/nvme0n1p2");
    assert_eq!(netplan.environment["VLAN"], "7");
    assert_eq!(netplan.pid.as_deref(), Some("host"));
    let contents = &netplan.environment["CONTENTS"];
    assert!(contents.contains("addresses: [192.0.2.10/24]"), "{contents}");
    assert!(
        contents.contains("addresses: [192.0.2.1, 192.0.2.2]"),
        "{contents}"
    );
}

#[test]
fn both_spellings_of_hardware_and_the_map_are_there() {
    let text = "{{ .hardware.metadata.name }} {{ (index .hardware.spec.interfaces 0).dhcp.ip.address }} \
                {{ .Hardware.UserData }} {{ .Hardware.Metadata.Instance.Hostname }} \
                {{ .Hardware.Metadata.Facility.FacilityCode }} {{ index .Hardware.Metadata.Instance.SSHKeys 0 }} \
                {{ (index .Hardware.Interfaces 0).DHCP.TimeServers }}";
    assert_eq!(
        rendered(text).unwrap(),
        "node-1 192.0.2.10 #cloud-config node-1 onprem fake-key []"
    );
}

#[test]
fn what_is_missing_is_named_with_its_line() {
    let error = rendered("a\nb {{ .device_2 }}").unwrap_err().to_string();
    assert!(
        error.starts_with("template ubuntu, line 2: there is no .device_2"),
        "{error}"
    );
    let error = rendered("a\n{{ if }}").unwrap_err().to_string();
    assert!(error.starts_with("template ubuntu, line 2, column "), "{error}");
    let error = rendered("{{ index .hardware \"nope\" }}")
        .unwrap_err()
        .to_string();
    assert!(error.contains("not there"), "{error}");
    let error = rendered("{{ index .Hardware.Disks 7 }}").unwrap_err().to_string();
    assert!(error.contains("out of range"), "{error}");
}

#[test]
fn endless_output_is_cut_off() {
    let error = rendered("{{ range until 100000 }}{{ repeat 100 \"x\" }}{{ end }}").unwrap_err();
    assert!(matches!(error, template::Error::TooLong { .. }), "{error}");
    let error = rendered(&" ".repeat(300_000)).unwrap_err();
    assert!(matches!(error, template::Error::TooLong { .. }), "{error}");
}

#[test]
fn all_faults_of_a_document_are_told_at_once_with_their_lines() {
    let text = "version: \"0.2\"\nname: w\ntasks:\n- name: a\n  worker: \"\"\n  actions:\n  - name: x\n    image: \"not an \
                image\"\n  - name: x\n    image: ok\n    timeout: -1\n- name: a\n  worker: w\n  actions: []\n";
    let error = parse("t", text).unwrap_err().to_string();
    for part in [
        "rendered line 1: version",
        "rendered line 5: tasks[0].worker",
        "rendered line 8: tasks[0].actions[0].image",
        "rendered line 9: tasks[0].actions[1].name",
        "rendered line 11: tasks[0].actions[1].timeout",
        "rendered line 12: tasks[1].name",
        "rendered line 14: tasks[1].actions: is empty",
    ] {
        assert!(error.contains(part), "{part} not in: {error}");
    }
}

#[test]
fn an_unknown_field_is_an_error_with_its_line() {
    let text =
        "name: w\ntasks:\n- name: a\n  worker: w\n  actions:\n  - name: x\n    image: ok\n    timeuot: 5\n";
    let error = parse("t", text).unwrap_err().to_string();
    assert!(
        error.contains("rendered line 8") && error.contains("timeuot"),
        "{error}"
    );
    let error = parse("t", "name: w\n").unwrap_err().to_string();
    assert!(error.contains("tasks"), "{error}");
}
