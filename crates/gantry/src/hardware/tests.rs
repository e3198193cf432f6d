//! An import on the embedded API.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use resources::tinkerbell::HardwareSpec;
use sim::{Site, Traffic};

use super::*;

const HEADER: &str = "hostname,mac,ip_address,netmask,gateway,nameservers,labels,disk";
const ROW: &str = "n1,52:54:00:00:00:01,192.0.2.11,255.255.255.0,192.0.2.1,192.0.2.1";

fn imported(header: &str, row: &str) -> Hardware {
    let rows = hardware_csv::parse(format!("{header}\n{row}\n").as_bytes(), "x").unwrap();
    let mut objects = hardware_csv::to_objects(&rows, "ns", "x");
    objects.next().unwrap().hardware
}

#[test]
fn a_second_import_keeps_what_its_file_does_not_name() {
    let mut known = imported(
        &format!("{HEADER},bmc_ip,bmc_username,bmc_password"),
        &format!("{ROW},type=cp,/dev/sda,192.0.2.101,admin,fake-password"),
    );
    if let Some(netboot) = &mut known.spec.interfaces[0].netboot {
        netboot.allow_pxe = Some(false);
    }
    let bmc = known.spec.bmc_ref.clone();
    assert!(bmc.is_some());
    // Misspelled names of the BMC's columns, and another label.
    let mut wanted = imported(
        &format!("{HEADER},bmc_address,bmc_user,bmc_pass"),
        &format!("{ROW},type=worker,/dev/sda,192.0.2.101,admin,fake-password"),
    );
    keep(&mut wanted, &known);
    assert_eq!(wanted.spec.bmc_ref, bmc);
    let netboot = wanted.spec.interfaces[0].netboot.as_ref();
    assert_eq!(netboot.and_then(|netboot| netboot.allow_pxe), Some(false));
    assert_eq!(wanted.labels()["type"], "worker");
}

const WITH_BMC: &str = ",bmc_ip,bmc_username,bmc_password";

/// A file of so many machines with BMCs; one of them has another disk, or the BMC of one has another password.
fn file(rows: u32, disk: Option<u32>, password: Option<u32>) -> Csv {
    let mut text = format!("{HEADER}{WITH_BMC}\n");
    for number in 0..rows {
        let [_, _, high, low] = (number + 1).to_be_bytes();
        let disk = if disk == Some(number) { "sdb" } else { "sda" };
        let password = if password == Some(number) {
            "other"
        } else {
            "first"
        };
        writeln!(
            text,
            "n-{number},52:54:00:00:{high:02x}:{low:02x},10.1.{high}.{low},255.255.0.0,10.1.255.254,10.1.255.254,type=cp,\
             /dev/{disk},10.2.{high}.{low},admin,fake-{password}"
        )
        .unwrap();
    }
    let rows = hardware_csv::parse(text.as_bytes(), "a.csv").unwrap();
    let source = "a.csv".to_owned();
    Csv { source, rows }
}

/// Requests of an import, and what it says.
async fn import(site: &Site, csv: &Csv) -> (u64, Vec<String>) {
    let (client, traffic): (Client, Traffic) = site.counted_client();
    let diff = compare(&client, "eksa-system", csv).await.unwrap();
    let lines = apply(&client, "eksa-system", csv, &diff, false).await.unwrap();
    (traffic.seen().0, lines)
}

/// Requests of the first import, of the same file, and of one in which a machine, or the password of a BMC, differs.
async fn cost(rows: u32) -> [u64; 4] {
    let site = Site::start("eksa-system").await;
    let (first, lines) = import(&site, &file(rows, None, None)).await;
    assert_eq!(lines.len(), rows as usize);
    let (same, lines) = import(&site, &file(rows, None, None)).await;
    assert_eq!(lines, [format!("{rows} unchanged")]);
    let changed = |line: &str| [line.to_owned(), format!("{} unchanged", rows - 1)];
    let (disk, lines) = import(&site, &file(rows, Some(3), None)).await;
    assert_eq!(lines, changed("n-3: updated"));
    let (password, lines) = import(&site, &file(rows, Some(3), Some(4))).await;
    assert_eq!(lines, changed("n-4: BMC updated"));
    let auth = site
        .api::<Secret>()
        .get("bmc-n-4-auth")
        .await
        .unwrap()
        .data
        .unwrap();
    assert_eq!(auth["password"].0, b"fake-other");
    [first, same, disk, password]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_asks_for_what_changes_and_for_each_list_once() {
    let (few, many) = (cost(100).await, cost(1_000).await);
    assert_eq!(few[1..], many[1..]);
    // Three kinds, 256 rows in a request.
    assert_eq!((few[0], many[0]), (few[1] + 3, many[1] + 3 * 4));
}

/// Hardware as an import leaves it, by name.
async fn imported_specs(site: &Site) -> BTreeMap<String, HardwareSpec> {
    let all = site.api::<Hardware>().list(&ListParams::default()).await.unwrap();
    let named = all
        .into_iter()
        .map(|hardware| (hardware.name_any(), hardware.spec));
    named.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_was_interrupted_is_completed_by_the_next_one() {
    // More than are on their way at once.
    const ROWS: u32 = 1_400;
    let (whole, site) = (Site::start("eksa-system").await, Site::start("eksa-system").await);
    let csv = file(ROWS, None, None);
    import(&whole, &csv).await;
    let some_are_there = async {
        while imported_specs(&site).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = import(&site, &csv) => panic!("the import was not interrupted"),
        () = some_are_there => {}
    }
    let (_, lines) = import(&site, &csv).await;
    assert!(
        lines.last().unwrap().ends_with(" unchanged"),
        "nothing was imported before"
    );
    assert!(imported_specs(&site).await == imported_specs(&whole).await);
    let (_, lines) = import(&site, &csv).await;
    assert_eq!(lines, [format!("{ROWS} unchanged")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_row_that_the_server_refuses_is_named() {
    let site = Site::start("eksa-system").await;
    let (client, _) = site.counted_client();
    let csv = file(300, None, None);
    let diff = compare(&client, "nowhere", &csv).await.unwrap();
    let failure = apply(&client, "nowhere", &csv, &diff, false).await.unwrap_err();
    let text = failure.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 301, "{text}");
    assert_eq!(lines[0], "a.csv: row 2 (n-0): namespaces \"nowhere\" not found");
    assert_eq!(
        lines[299],
        "a.csv: row 301 (n-299): namespaces \"nowhere\" not found"
    );
    assert!(lines[300].starts_with("run the command again"), "{text}");
}
