//! Rows to objects, to YAML, back to CSV, and compared with what exists.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use hardware_csv::{Change, Clash, Existing, diff, parse, source_label, to_objects, to_yaml, write};
use resources::keys;

const FILE: &str = "\
hostname,bmc_ip,bmc_username,bmc_password,mac,ip_address,netmask,gateway,nameservers,labels,disk,vlan_id
node-1,192.0.2.101,admin,fake-password,52-54-00-00-00-01,192.0.2.11,255.255.255.0,192.0.2.1,192.0.2.1|192.0.2.2,type=cp,/dev/disk/by-id/ata-X.1:2,
node-2,,,,52:54:00:00:00:02,192.0.2.12,255.255.254.0,192.0.2.1,192.0.2.1,type=worker|rack=r1,/dev/nvme0n1,17
";

#[test]
fn objects_as_yaml() {
    let rows = parse(FILE.as_bytes(), "hardware.csv").unwrap();
    let objects: Vec<_> = to_objects(&rows, keys::DEFAULT_NAMESPACE, "racks/hardware.csv").collect();
    let text = to_yaml(&objects, false).unwrap();
    assert!(!text.contains("fake-password") && !text.contains("ZmFrZS1wYXNzd29yZA"));
    insta::assert_snapshot!("objects", text);
    let open = to_yaml(&objects, true).unwrap();
    assert!(open.contains("ZmFrZS1wYXNzd29yZA=="));
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&open).unwrap();
    let kinds: Vec<&str> = documents
        .iter()
        .filter_map(|document| document["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["Hardware", "Machine", "Secret", "Hardware"]);
    assert_eq!(documents[0], serde_json::to_value(&objects[0].hardware).unwrap());
}

#[test]
fn nothing_prints_a_password_by_accident() {
    let rows = parse(FILE.as_bytes(), "hardware.csv").unwrap();
    let shown = format!("{rows:?} {:?}", to_objects(&rows, "x", "y").collect::<Vec<_>>());
    assert!(!shown.contains("fake-password"));
}

#[test]
fn written_rows_read_back_as_they_were() {
    let mut rows = parse(FILE.as_bytes(), "hardware.csv").unwrap();
    let again = parse(&write(&rows).unwrap(), "again").unwrap();
    assert_eq!(again, rows);
    rows.truncate(1);
    insta::assert_snapshot!(String::from_utf8(write(&rows).unwrap()).unwrap(), @r"
    hostname,bmc_ip,bmc_username,bmc_password,mac,ip_address,netmask,gateway,nameservers,labels,disk,vlan_id
    node-1,192.0.2.101,admin,fake-password,52:54:00:00:00:01,192.0.2.11,255.255.255.0,192.0.2.1,192.0.2.1|192.0.2.2,type=cp,/dev/disk/by-id/ata-X.1:2,
    ");
}

#[test]
fn a_source_is_a_label_value() {
    for (file, label) in [
        ("hardware.csv", "hardware.csv"),
        ("/srv/my racks/Rack 7 (new).csv", "Rack-7--new-.csv"),
        ("-", ""),
        ("r\u{e4}ck.csv", "r-ck.csv"),
    ] {
        assert_eq!(source_label(file), label, "{file}");
    }
}

fn existing(source: &str) -> Vec<Existing> {
    let rows = parse(FILE.as_bytes(), "x").unwrap();
    let known = to_objects(&rows, "ns", source).map(|row| Existing {
        bmc: row.bmc,
        secret: row.secret,
        ..Existing::new(row.hardware)
    });
    known.collect()
}

fn rows(lines: &[&str]) -> Vec<hardware_csv::Row> {
    let header = FILE.lines().next().unwrap();
    parse(format!("{header}\n{}", lines.join("\n")).as_bytes(), "x").unwrap()
}

#[test]
fn the_same_file_again_changes_nothing_even_while_a_machine_is_installed() {
    let mut known = existing("a.csv");
    known[0].hardware.spec.interfaces[0]
        .netboot
        .as_mut()
        .unwrap()
        .allow_pxe = Some(false);
    known[0].hardware.spec.user_data = Some("set by somebody else".to_owned());
    let found = diff(&known, &parse(FILE.as_bytes(), "x").unwrap(), "ns", "a.csv");
    assert_eq!(found.unchanged, ["node-1", "node-2"]);
    assert_eq!(
        (
            found.create.len(),
            found.update.len() + found.update_bmc.len(),
            found.gone_free.len(),
            found.clashes.len()
        ),
        (0, 0, 0, 0)
    );
}

#[test]
fn a_bmc_that_differs_is_told_apart_from_a_machine_that_does() {
    let file = parse(FILE.as_bytes(), "x").unwrap();
    let changes: [fn(&mut Existing); 5] = [
        |known| known.bmc = None,
        |known| known.secret = None,
        |known| known.bmc.as_mut().unwrap().spec.connection.host = "192.0.2.102".to_owned(),
        |known| known.bmc.as_mut().unwrap().metadata.labels = None,
        |known| {
            let login = known.secret.as_mut().unwrap().data.as_mut().unwrap();
            login.get_mut("password").unwrap().0 = b"fake-other".to_vec();
        },
    ];
    for change in changes {
        let mut known = existing("a.csv");
        change(&mut known[0]);
        let found = diff(&known, &file, "ns", "a.csv");
        assert_eq!(
            (found.update.len(), found.unchanged.len()),
            (0, 1),
            "{:?}",
            known[0]
        );
        assert_eq!(found.update_bmc, ["node-1"]);
        let shown = format!("{known:?} {found:?}");
        assert!(
            !shown.contains("fake-other") && !shown.contains("ZmFrZS1"),
            "{shown}"
        );
    }
}

#[test]
fn rows_gone_from_the_file_are_told_apart_by_use() {
    let mut known = existing("a.csv");
    let new = rows(&["node-3,,,,52:54:00:00:00:03,192.0.2.13,255.255.255.0,192.0.2.1,192.0.2.1,,/dev/sda,"]);
    let found = diff(&known, &new, "ns", "a.csv");
    assert_eq!(found.create, ["node-3"]);
    assert_eq!(found.gone_free, ["node-1", "node-2"]);
    known[1].owner = Some("demo-md-0-0".to_owned());
    let found = diff(&known, &new, "ns", "a.csv");
    assert_eq!(found.gone_free, ["node-1"]);
    assert_eq!(
        found.gone_in_use,
        [Change {
            name: "node-2".to_owned(),
            owner: Some("demo-md-0-0".to_owned())
        }]
    );
    let other = diff(&known, &new, "ns", "b.csv");
    assert!(other.gone_free.is_empty() && other.gone_in_use.is_empty());
}

#[test]
fn changes_and_clashes() {
    let known = existing("a.csv");
    let new = rows(&[
        "node-1,,,,52:54:00:00:00:01,192.0.2.99,255.255.255.0,192.0.2.1,192.0.2.1,type=cp,/dev/sda,",
        "node-9,,,,52:54:00:00:00:02,192.0.2.19,255.255.255.0,192.0.2.1,192.0.2.1,,/dev/sda,",
    ]);
    let found = diff(&known, &new, "ns", "a.csv");
    assert_eq!(
        found.update,
        [Change {
            name: "node-1".to_owned(),
            owner: None
        }]
    );
    assert_eq!(
        found.clashes,
        [Clash {
            row: 3,
            column: "mac",
            value: "52:54:00:00:00:02".to_owned(),
            other: "node-2".to_owned()
        }]
    );
}

#[test]
fn port_and_protocols_of_a_bmc_stand_in_its_machine() {
    for (cells, expected) in [
        (",", serde_json::json!({"preferredOrder": ["gofish"]})),
        (
            "8443,",
            serde_json::json!({"preferredOrder": ["gofish"], "redfish": {"port": 8443}}),
        ),
        (
            "6230,ipmi",
            serde_json::json!({"preferredOrder": ["ipmitool"], "ipmitool": {"port": 6230}}),
        ),
        (
            ",ipmi|redfish",
            serde_json::json!({"preferredOrder": ["ipmitool", "gofish"]}),
        ),
    ] {
        let text = format!(
            "hostname,bmc_ip,bmc_username,bmc_password,bmc_port,bmc_protocol,mac,ip_address,netmask,gateway,nameservers,labels,disk\n\
             n,192.0.2.101,a,b,{cells},525400000001,192.0.2.11,255.255.255.0,192.0.2.1,192.0.2.1,,/dev/sda\n"
        );
        let rows = parse(text.as_bytes(), "x").unwrap();
        let machine = to_objects(&rows, "n", "x").next().unwrap().bmc.unwrap();
        let options = serde_json::to_value(machine.spec.connection.provider_options).unwrap();
        assert_eq!(options, expected, "{cells}");
    }
}
