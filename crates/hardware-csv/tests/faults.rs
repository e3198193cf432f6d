//! One row of a table for each fault: where it is found and what is said.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::collections::BTreeSet;

use hardware_csv::{Faults, parse, unknown_columns, warnings, write};
use resources::DiskNameError;

const HEADER: &str = "hostname,bmc_ip,bmc_username,bmc_password,mac,ip_address,netmask,gateway,nameservers,labels,disk,vlan_id";
const GOOD: [&str; 12] = [
    "node-1",
    "192.0.2.101",
    "admin",
    "fake-password",
    "52:54:00:00:00:01",
    "192.0.2.11",
    "255.255.255.0",
    "192.0.2.1",
    "192.0.2.1|192.0.2.2",
    "type=cp|rack=r1",
    "/dev/sda",
    "",
];

fn file(rows: &[[&str; 12]]) -> String {
    let mut text = HEADER.to_owned() + "\n";
    for row in rows {
        text += &row.join(",");
        text.push('\n');
    }
    text
}

fn with(column: &str, value: &'static str) -> [&'static str; 12] {
    let mut row = GOOD;
    let at = HEADER.split(',').position(|name| name == column).unwrap();
    row[at] = value;
    row
}

fn refused(text: &str) -> Faults {
    parse(text.as_bytes(), "hardware.csv").unwrap_err()
}

/// Column, bad value, and what is said of it.
const BAD_CELLS: [(&str, &str, &str); 32] = [
    ("hostname", "", "is empty"),
    ("hostname", "Node_1", "is not a host name"),
    ("hostname", "-node", "is not a host name"),
    (
        "hostname",
        "a-name-that-is-much-too-long-to-become-a-label-of-a-kubernetes-node",
        "characters long",
    ),
    ("bmc_ip", "192.0.2.300", "is not an IP address"),
    ("bmc_ip", "", "is empty, but other columns"),
    ("bmc_username", "", "is empty, but other columns"),
    ("bmc_password", "", "is empty, but other columns"),
    ("mac", "52:54:00:00:00", "is not a MAC address"),
    ("mac", "00:00:00:00:00:00", "no NIC can have"),
    ("mac", "01:54:00:00:00:01", "no NIC can have"),
    ("ip_address", "192.0.2", "is not an IP address"),
    ("ip_address", "0.0.0.0", "no machine can have"),
    ("ip_address", "2001:db8::1", "is an IPv6 address"),
    ("netmask", "255.0.255.0", "not contiguous"),
    ("netmask", "24", "is not a netmask"),
    ("netmask", "0.0.0.0", "covers every address"),
    ("gateway", "router", "is not an IP address"),
    ("nameservers", "", "is empty"),
    ("nameservers", "192.0.2.1|", "name server \"\" is empty"),
    (
        "nameservers",
        "192.0.2.1|dns",
        "name server \"dns\" is not an IP address",
    ),
    ("labels", "type", "has no '='"),
    ("labels", "ty pe=cp", "label key \"ty pe\""),
    ("labels", "type=-cp", "label value \"-cp\""),
    ("disk", "sda", "is not the path of a disk"),
    ("disk", "/dev/../etc/passwd", "is not the path of a disk"),
    ("disk", "/dev/{{ x }}", "is not the path of a disk"),
    ("disk", "/dev/nvme0n1p2", "is a partition"),
    ("disk", "/dev/disk/by-label/data", "names a file system"),
    ("vlan_id", "4095", "is not a VLAN"),
    ("vlan_id", "0", "is not a VLAN"),
    ("vlan_id", "ten", "is not a VLAN"),
];

#[test]
fn one_bad_cell_is_one_fault_at_its_place() {
    for (column, value, reason) in BAD_CELLS {
        let faults = refused(&file(&[with(column, value)])).faults;
        assert_eq!(faults.len(), 1, "{column}={value}: {faults:?}");
        let number = HEADER.split(',').position(|name| name == column).unwrap() + 1;
        assert_eq!((faults[0].row, faults[0].column), (2, Some((column, number))));
        assert!(
            faults[0].reason.contains(reason),
            "{column}={value}: {}",
            faults[0].reason
        );
        assert!(!faults[0].next_step.is_empty());
    }
}

#[test]
fn every_column_has_a_bad_case_above() {
    // What is written has every column that is known.
    let written = String::from_utf8(write(&[]).unwrap()).unwrap();
    let known: BTreeSet<&str> = written.lines().next().unwrap().split(',').collect();
    let bad: BTreeSet<&str> = BAD_CELLS.iter().map(|(column, ..)| *column).collect();
    assert_eq!(bad, known);
}

#[test]
fn what_must_be_unique_is_compared_by_meaning() {
    let second = |column: &str, value: &'static str| {
        let mut row = [
            "node-2",
            "192.0.2.102",
            "admin",
            "fake-password",
            "52:54:00:00:00:02",
            "192.0.2.12",
            "255.255.255.0",
            "192.0.2.1",
            "192.0.2.1",
            "",
            "/dev/sda",
            "",
        ];
        row[HEADER.split(',').position(|name| name == column).unwrap()] = value;
        row
    };
    for (column, value) in [
        ("hostname", "node-1"),
        ("mac", "52-54-00-00-00-01"),
        ("mac", "5254.0000.0001"),
        ("ip_address", "192.0.2.11"),
        ("bmc_ip", "192.0.2.101"),
    ] {
        let faults = refused(&file(&[GOOD, second(column, value)])).faults;
        assert_eq!(faults.len(), 1, "{column}: {faults:?}");
        assert_eq!(faults[0].row, 3);
        assert_eq!(faults[0].reason, format!("row 2 (node-1) has the same {column}"));
    }
}

#[test]
fn a_duplicate_is_found_beside_another_fault_of_the_row() {
    let mut row = with("netmask", "255.0.255.0");
    row[0] = "node-2";
    let faults = refused(&file(&[GOOD, row])).faults;
    let columns: Vec<&str> = faults
        .iter()
        .filter_map(|fault| fault.column.map(|(name, _)| name))
        .collect();
    assert_eq!(columns, ["bmc_ip", "mac", "ip_address", "netmask"]);
}

#[test]
fn five_faults_in_one_file_are_told_at_once() {
    let text = format!(
        "{HEADER}\n{}\nnode-3,192.0.2.103,admin,fake-password\nNODE,,,,xx,192.0.2.13,255.255.255.0,192.0.2.1,dns,a,/dev/vda,\n",
        with("netmask", "255.0.255.0").join(",")
    );
    insta::assert_snapshot!(refused(&text), @r#"
    hardware.csv: 6 faults, nothing was read
      hardware.csv: row 2, column 7 (netmask), value "255.0.255.0": is not a netmask: its ones are not contiguous; write a dotted netmask, such as 255.255.255.0
      hardware.csv: row 3: the row has 4 fields, the header has 12; add or remove commas; a value with a comma is written in quotes
      hardware.csv: row 4, column 1 (hostname), value "NODE": is not a host name; use lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part
      hardware.csv: row 4, column 5 (mac), value "xx": is not a MAC address of six bytes; write it as 52:54:00:12:34:56 (dashes and dots are fine too)
      hardware.csv: row 4, column 9 (nameservers), value "dns": name server "dns" is not an IP address; write four numbers from 0 to 255 with dots, such as 192.0.2.10; put '|' between several
      hardware.csv: row 4, column 10 (labels), value "a": label "a" has no '='; write key=value and put '|' between several
    "#);
}

#[test]
fn faults_of_the_file_itself() {
    let table: [(&[u8], &str); 6] = [
        (b"", "the file is empty"),
        (HEADER.as_bytes(), "there is no row below the header"),
        (
            b"hostname,mac\nx,y\n",
            "missing required columns in csv: ip_address, netmask, gateway, nameservers, labels, disk",
        ),
        (
            b"hostname;mac;disk\nx;y;z\n",
            "missing required columns in csv: hostname, mac",
        ),
        (b"\xff\xfeh\0o\0", "the file is UTF-16"),
        (
            b"hostname,mac,ip_address,netmask,gateway,nameservers,labels,disk,mac\n",
            "the column stands twice",
        ),
    ];
    for (bytes, reason) in table {
        let faults = parse(bytes, "hardware.csv").unwrap_err().faults;
        assert!(faults[0].reason.starts_with(reason), "{faults:?}");
    }
    let mut latin = file(&[GOOD]).into_bytes();
    latin.extend_from_slice(b"caf\xe9,,,,,,,,,,,\n");
    assert_eq!(
        parse(&latin, "x").unwrap_err().faults[0].reason,
        "the row is not UTF-8"
    );
}

#[test]
fn byte_order_mark_line_ends_blank_lines_and_column_order_do_not_matter() {
    let plain = parse(file(&[GOOD]).as_bytes(), "x").unwrap();
    let mut marked = b"\xef\xbb\xbf".to_vec();
    marked.extend_from_slice(file(&[GOOD]).replace('\n', "\r\n").as_bytes());
    assert_eq!(parse(&marked, "x").unwrap(), plain);
    let quoted: String = HEADER
        .split(',')
        .map(|name| format!("\"{name}\""))
        .collect::<Vec<_>>()
        .join(",");
    let blank = format!(
        "{quoted}\r\n\r\n\r\n{}\r\n\r\n",
        GOOD.map(|cell| format!("\"{cell}\"")).join(",")
    );
    let rows = parse(blank.as_bytes(), "x").unwrap();
    assert_eq!((rows[0].line, &rows[0].hostname), (4, &plain[0].hostname));
    let mut columns: Vec<(&str, &str)> = HEADER.split(',').zip(GOOD).collect();
    columns.reverse();
    columns.push(("rack_unit", "17"));
    let turned = columns
        .iter()
        .map(|(name, _)| *name)
        .collect::<Vec<_>>()
        .join(",")
        + "\n"
        + &columns
            .iter()
            .map(|(_, cell)| *cell)
            .collect::<Vec<_>>()
            .join(",");
    assert_eq!(parse(turned.as_bytes(), "x").unwrap(), plain);
}

#[test]
fn lines_are_counted_through_quoted_line_ends() {
    let mut row = GOOD;
    row[3] = "\"fake\r\npassword\"";
    let faults = refused(
        &file(&[row, with("disk", "sda")])
            .replace("\r\n", "\n")
            .replace('\n', "\r\n"),
    )
    .faults;
    assert!(faults.iter().all(|fault| fault.row == 4), "{faults:?}");
}

#[test]
fn disks_by_id_with_dots_and_colons_are_fine() {
    for disk in [
        "/dev/disk/by-id/ata-QEMU_HARDDISK_QM00001",
        "/dev/disk/by-id/nvme-eui.0025385b71b12f62",
        "/dev/disk/by-path/pci-0000:00:1f.2-ata-1.0",
    ] {
        let rows = parse(file(&[with("disk", disk)]).as_bytes(), "x").unwrap();
        assert_eq!(rows[0].disk, disk);
    }
}

/// Disk names that people paste from `ls -l /dev/disk/*`: those that stay the name of a disk are taken, the others are
/// refused with what to write instead.
#[test]
fn disk_names_that_an_installation_destroys_are_refused() {
    let faults = refused(include_str!("disk-names.csv")).faults;
    let found: Vec<(u64, &str, &str)> = faults
        .iter()
        .map(|fault| (fault.row, fault.reason.as_str(), fault.next_step.as_str()))
        .collect();
    let whole = DiskNameError::Contents.next_step();
    assert!(whole.contains("/dev/disk/by-id") && whole.contains("/dev/disk/by-path"));
    let expected = [
        (5, DiskNameError::Contents.to_string(), whole),
        (6, DiskNameError::Mapped.to_string(), whole),
        (
            7,
            "is a partition, and an installation writes a whole disk".to_owned(),
            "write /dev/sda",
        ),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(row, why, next)| (*row, why.as_str(), *next))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_file_without_bmc_columns_is_for_power_by_hand() {
    let text = "hostname,mac,ip_address,netmask,gateway,nameservers,labels,disk\nn,525400000001,192.0.2.11,255.255.255.0,192.0.2.1,192.0.2.1,,/dev/sda\n";
    let rows = parse(text.as_bytes(), "x").unwrap();
    assert_eq!(rows[0].bmc, None);
    assert_eq!(rows[0].vlan, None);
    assert!(rows[0].labels.is_empty());
}

#[test]
fn what_only_looks_wrong_is_a_remark() {
    for (column, value, reason) in [
        ("gateway", "198.51.100.1", "lies outside 192.0.2.0/24"),
        ("gateway", "192.0.2.11", "is the machine's own address"),
        (
            "ip_address",
            "192.0.2.255",
            "is the network's own or its broadcast address",
        ),
        ("bmc_ip", "192.0.2.11", "is also the ip_address of row 2 (node-1)"),
    ] {
        let rows = parse(file(&[with(column, value)]).as_bytes(), "x").unwrap();
        let found = warnings(&rows);
        assert!(found.iter().any(|fault| fault.reason == reason), "{found:?}");
    }
    assert_eq!(warnings(&parse(file(&[GOOD]).as_bytes(), "x").unwrap()), []);
}

#[test]
fn a_column_that_is_not_read_is_named() {
    let good = file(&[GOOD]);
    assert_eq!(unknown_columns(good.as_bytes()), []);
    let text = good.replace("bmc_ip,", "bmc_address,").replace("vlan_id", "VLAN");
    let found = unknown_columns(format!("\u{feff}{text}").as_bytes());
    let said: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].starts_with(
            "row 1, value \"bmc_address\": the column is not read; if it should be, write one of"
        ) && said[0].contains("hostname,bmc_ip,"),
        "{said:?}"
    );
    assert!(said[1].contains("\"VLAN\""), "{said:?}");
}

const BMC_HEADER: &str = "hostname,bmc_ip,bmc_username,bmc_password,bmc_port,bmc_protocol,mac,ip_address,netmask,gateway,nameservers,labels,disk";

/// A file of machines that differ in what is said of their BMCs: address, user, password, port, protocols.
fn with_bmcs(bmcs: &[&str]) -> String {
    let mut text = BMC_HEADER.to_owned() + "\n";
    for (number, bmc) in (1..).zip(bmcs) {
        text += &format!(
            "n{number},{bmc},52:54:00:00:00:0{number},192.0.2.1{number},255.255.255.0,192.0.2.1,192.0.2.1,,/dev/sda\n"
        );
    }
    text
}

#[test]
fn ports_and_protocols_of_bmcs_are_checked() {
    for (bmc, column, reason) in [
        ("192.0.2.101,a,b,0,", "bmc_port", "is not a port"),
        ("192.0.2.101,a,b,65536,", "bmc_port", "is not a port"),
        ("192.0.2.101,a,b,,ipmi2", "bmc_protocol", "is no protocol of BMCs"),
        ("192.0.2.101,a,b,,ipmi|", "bmc_protocol", "is no protocol of BMCs"),
        ("192.0.2.101,a,b,,ipmi|ipmi", "bmc_protocol", "ipmi stands twice"),
        (
            "192.0.2.101,a,b,6230,redfish|ipmi",
            "bmc_port",
            "could be the port of each",
        ),
        (",,,6230,", "bmc_port", "is filled, but the machine has no BMC"),
        (
            ",,,,ipmi",
            "bmc_protocol",
            "is filled, but the machine has no BMC",
        ),
    ] {
        let faults = refused(&with_bmcs(&[bmc])).faults;
        assert_eq!(faults.len(), 1, "{bmc}: {faults:?}");
        assert_eq!(faults[0].column.map(|(name, _)| name), Some(column), "{bmc}");
        assert!(faults[0].reason.contains(reason), "{bmc}: {faults:?}");
    }
}

#[test]
fn several_bmcs_behind_one_address_differ_in_their_ports() {
    let text = with_bmcs(&[
        "192.0.2.200,a,b,6230,ipmi",
        "192.0.2.200,a,b,6231,ipmi",
        "192.0.2.200,a,b,,",
    ]);
    let rows = parse(text.as_bytes(), "x").unwrap();
    assert_eq!(parse(&write(&rows).unwrap(), "again").unwrap(), rows);
    let same = with_bmcs(&["192.0.2.200,a,b,6230,ipmi", "192.0.2.200,a,b,6230,ipmi"]);
    let faults = refused(&same).faults;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].reason, "row 2 (n1) has the same bmc_ip");
}
