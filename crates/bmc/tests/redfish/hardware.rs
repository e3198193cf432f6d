//! Sensors, event log, firmware, identify light and capabilities: of a good BMC, of one that has little, and of one that lies.

use bmc::{Bmc as _, Error};
use resources::bmc::{BmcReport, Health, Indicator, ReportKind};
use serde_json::{Value, json};

use super::fake_bmc::{Answer, FakeBmc, Seen, status};

const SYSTEM: &str = "GET /redfish/v1/Systems/1";

fn link(path: &str) -> Value {
    json!({ "@odata.id": path })
}

/// What every BMC here has; `system` and `root` are added to its documents.
fn base(line: &str, system: &Value, root: &Value) -> Option<Answer> {
    let with = |mut document: Value, more: &Value| {
        let more = more.as_object().cloned().unwrap_or_default();
        document.as_object_mut().unwrap().extend(more);
        Answer::from(document)
    };
    Some(match line {
        "GET /redfish/v1/" => with(json!({"Systems": link("/redfish/v1/Systems")}), root),
        "GET /redfish/v1/Systems" => json!({"Members": [link("/redfish/v1/Systems/1")]}).into(),
        SYSTEM => with(
            json!({"PowerState": "On", "Manufacturer": "Example Corp", "Model": "R1", "SerialNumber": "S1", "BiosVersion": "2.1"}),
            system,
        ),
        _ => return None,
    })
}

/// A BMC with everything, in the form of older services (`Thermal`, members that are given whole).
fn full(line: &str, lit: bool) -> Answer {
    let system = json!({"Links": {"Chassis": [link("/c/1"), null]}, "LogServices": link("/logs"),
        "IndicatorLED": if lit { "Blinking" } else { "Off" },
        "Actions": {"#ComputerSystem.Reset": {"target": "/reset",
            "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "ForceRestart", "GracefulShutdown"]}},
        "Boot": {"BootSourceOverrideTarget@Redfish.AllowableValues": ["Pxe", "Hdd", "UefiHttp"],
            "BootSourceOverrideMode": "UEFI"}});
    if let Some(answer) = base(line, &system, &json!({"UpdateService": link("/update")})) {
        return answer;
    }
    let entry = |id: &str, second: &str, severity: &str| {
        json!({"@odata.id": format!("/entries/{id}"), "Id": id, "Created": format!("2026-01-01T00:00:{second}Z"),
            "Severity": severity, "Message": format!("entry {id}")})
    };
    match line {
        "GET /c/1" => {
            json!({"Id": "1", "PartNumber": "P1", "Thermal": link("/thermal"), "Power": link("/power"),
            "Sensors": link("/not-asked")})
            .into()
        }
        "GET /thermal" => {
            json!({"Temperatures": [{"Name": "Inlet", "ReadingCelsius": 21.5, "Status": {"Health": "OK"}}]})
                .into()
        }
        "GET /power" => {
            json!({"PowerSupplies": [{"Name": "PSU 1", "Status": {"Health": "Critical"}}]}).into()
        }
        "GET /logs" => json!({"Members": [link("/logs/audit"), link("/logs/sel")]}).into(),
        "GET /logs/sel" => json!({"LogEntryType": "SEL", "Entries": link("/entries")}).into(),
        "GET /logs/audit" => json!({"LogEntryType": "Event", "Entries": link("/not-asked")}).into(),
        // Newest first, the older ones on a page of their own.
        "GET /entries" => {
            json!({"Members": [entry("3", "03", "OK")], "Members@odata.nextLink": "/entries-page-2"}).into()
        }
        "GET /entries-page-2" => {
            json!({"Members": [link("/entries/2"), link("/entries/broken"), entry("1", "01", "Warning")]})
                .into()
        }
        "GET /entries/2" => entry("2", "02", "Critical").into(),
        "GET /update" => json!({"FirmwareInventory": link("/firmware")}).into(),
        "GET /firmware" => json!({"Members": [link("/firmware/bios")]}).into(),
        "GET /firmware/bios" => json!({"Name": "BIOS", "Version": "2.1", "Updateable": true}).into(),
        "PATCH /redfish/v1/Systems/1" => status(204),
        _ => status(404),
    }
}

async fn full_bmc() -> FakeBmc {
    FakeBmc::start(|line, seen| {
        let last = seen.iter().rev().find(|seen| seen.line.starts_with("PATCH"));
        let lit = last.is_some_and(|seen| seen.body["IndicatorLED"] == "Blinking");
        Some(full(line, lit))
    })
    .await
}

#[tokio::test]
async fn everything_that_a_bmc_tells() {
    let fake = full_bmc().await;
    let client = fake.client();
    let sensors = client.report(ReportKind::Sensors).await.unwrap().sensors;
    assert_eq!(
        (sensors[0].name.as_str(), sensors[0].reading),
        ("Inlet", Some(21.5))
    );
    assert_eq!(
        (sensors[1].name.as_str(), sensors[1].health),
        ("PSU 1", Health::Critical)
    );

    let log = client.report(ReportKind::Log).await.unwrap();
    let told: Vec<_> = log
        .events
        .iter()
        .map(|event| (event.id.as_str(), event.severity))
        .collect();
    assert_eq!(
        told,
        [("1", Health::Warning), ("2", Health::Critical), ("3", Health::Ok)]
    );
    assert_eq!(log.notes.len(), 1, "{:?}", log.notes);
    assert!(log.notes[0].contains("404") && log.notes[0].contains("/entries/broken"));

    let firmware = client.report(ReportKind::Firmware).await.unwrap();
    assert_eq!(firmware.firmware[0].version.as_deref(), Some("2.1"));
    let parts: Vec<_> = firmware.parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(parts, ["system", "chassis 1"]);
    assert_eq!(firmware.parts[1].part_number.as_deref(), Some("P1"));

    client.identify(Indicator::On).await.unwrap();
    client.identify(Indicator::Off).await.unwrap();
    let patches = fake.seen.lock().unwrap().clone();
    let patches = patches.into_iter().filter(|seen| seen.line.starts_with("PATCH"));
    let bodies: Vec<Value> = patches.map(|seen| seen.body).collect();
    assert_eq!(
        bodies,
        [
            json!({"IndicatorLED": "Blinking"}),
            json!({"IndicatorLED": "Off"})
        ]
    );
    assert!(!fake.lines().iter().any(|line| line.contains("/not-asked")));
}

fn missing(report: &BmcReport) -> Vec<(&str, &str)> {
    let missing = report.capabilities.iter().filter(|one| !one.available);
    missing
        .map(|one| (one.name.as_str(), one.reason.as_deref().unwrap()))
        .collect()
}

#[tokio::test]
async fn what_a_bmc_cannot_do_has_a_reason() {
    let fake = full_bmc().await;
    let report = fake.client().report(ReportKind::Capabilities).await.unwrap();
    let offers = "it offers On, ForceOff, ForceRestart, GracefulShutdown";
    let targets = "it offers Pxe, Hdd, UefiHttp";
    assert_eq!(
        missing(&report),
        [
            ("power nmi", offers),
            ("boot from cdrom", targets),
            ("boot from bios", targets)
        ]
    );

    let bare =
        FakeBmc::start(|line, _| base(line, &json!({}), &json!({})).or_else(|| Some(status(404)))).await;
    let client = bare.client();
    let report = client.report(ReportKind::Capabilities).await.unwrap();
    assert_eq!(report.capabilities.iter().filter(|one| one.available).count(), 0);
    for (kind, reason) in [
        (ReportKind::Sensors, "no chassis has Thermal"),
        (ReportKind::Log, "neither the system nor its managers"),
    ] {
        let error = client.report(kind).await.unwrap_err();
        assert!(
            matches!(&error, Error::Missing { .. }) && !error.retryable(),
            "{error}"
        );
        assert!(error.to_string().contains(reason), "{error}");
    }
    let error = client.identify(Indicator::On).await.unwrap_err();
    assert!(error.to_string().contains("has no identify light"), "{error}");
    let firmware = client.report(ReportKind::Firmware).await.unwrap();
    assert_eq!(
        (firmware.firmware[0].name.as_str(), firmware.firmware.len()),
        ("BIOS", 1)
    );
    assert!(
        firmware.notes[0].contains("no UpdateService"),
        "{:?}",
        firmware.notes
    );
}

#[tokio::test]
async fn a_light_counts_only_if_it_is_shown() {
    let fake = FakeBmc::start(|line, _| Some(full(line, false))).await;
    let error = fake.client().identify(Indicator::On).await.unwrap_err();
    assert!(
        matches!(&error, Error::LightNotSet { .. }) && error.retryable(),
        "{error}"
    );
}

/// A BMC whose only log is at `/entries`.
fn logging(line: &str, entries: impl Fn(&str) -> Answer) -> Answer {
    let system = json!({"LogServices": link("/logs")});
    if let Some(answer) = base(line, &system, &json!({})) {
        return answer;
    }
    match line {
        "GET /logs" => json!({"Members": [{"@odata.id": "/logs/1", "Entries": link("/entries")}]}).into(),
        _ => entries(line),
    }
}

#[tokio::test]
async fn lists_of_a_bmc_that_lies_end() {
    let entry = |id: u64| json!({"Id": id.to_string(), "Message": "m"});
    // A page that is its own next page.
    let itself = move |line: &str, _: &[Seen]| {
        Some(logging(line, |_| {
            json!({"Members": [entry(1)], "Members@odata.nextLink": "/entries"}).into()
        }))
    };
    let report = FakeBmc::start(itself)
        .await
        .client()
        .report(ReportKind::Log)
        .await
        .unwrap();
    assert_eq!(
        (report.events.len(), report.notes.len()),
        (1, 1),
        "{:?}",
        report.notes
    );

    // Each page names a further one.
    let endless = move |line: &str, seen: &[Seen]| {
        let next = format!("/entries/{}", seen.len());
        Some(logging(line, |_| {
            json!({"Members": [], "Members@odata.nextLink": next}).into()
        }))
    };
    let fake = FakeBmc::start(endless).await;
    let report = fake.client().report(ReportKind::Log).await.unwrap();
    assert!(report.notes[0].contains("have no end"), "{:?}", report.notes);
    assert!(fake.lines().len() < 300, "{}", fake.lines().len());

    // More entries than any log has, and members that are the same one.
    let many = move |line: &str, _: &[Seen]| {
        Some(logging(line, |_| {
            let all: Vec<Value> = (0..5000).map(entry).collect();
            json!({ "Members": all }).into()
        }))
    };
    let report = FakeBmc::start(many)
        .await
        .client()
        .report(ReportKind::Log)
        .await
        .unwrap();
    assert_eq!(report.events.len(), 512);
    assert_eq!(report.notes.len(), 2, "{:?}", report.notes);
    let same = move |line: &str, _: &[Seen]| {
        Some(logging(line, |line| match line {
            "GET /entries" => json!({"Members": vec![link("/entries/1"); 5000]}).into(),
            _ => entry(1).into(),
        }))
    };
    let fake = FakeBmc::start(same).await;
    let report = fake.client().report(ReportKind::Log).await.unwrap();
    assert_eq!(
        (report.events.len(), fake.lines().len()),
        (1, 6),
        "{:?}",
        fake.lines()
    );

    // A list elsewhere is not followed.
    let elsewhere = move |line: &str, _: &[Seen]| {
        Some(logging(line, |_| {
            json!({"Members": [link("https://elsewhere.test/1")]}).into()
        }))
    };
    let report = FakeBmc::start(elsewhere)
        .await
        .client()
        .report(ReportKind::Log)
        .await
        .unwrap();
    assert!(
        report.events.is_empty() && report.notes[0].contains("not on the BMC itself"),
        "{:?}",
        report.notes
    );
}
