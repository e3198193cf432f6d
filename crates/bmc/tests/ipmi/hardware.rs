//! Sensors, event log, firmware and identify light by IPMI: of a good BMC, of one that has little, and of one that lies.

use bmc::{Bmc as _, BootDevice, BootMode, BootOverride, Error};
use ipmi::{
    DeviceId, Factors, Format, Linear, Measure, SelRecord, SensorReading, SensorRecord, SystemEvent,
    THRESHOLD, Thresholds,
};
use resources::bmc::{Health, Indicator, ReportKind};
use sim::ipmi_server::{Chassis as _, DEVICE, Lie, Profile, Sensor};

use super::machine::{Bmc, SERIAL};

/// Temperature, fan, voltage and a power supply without input.
pub(crate) fn sensors() -> Vec<Sensor> {
    let measured = |number, name: &str, (kind, unit), (m, r_exponent), raw, upper_critical| Sensor {
        record: SensorRecord {
            owner: 0x20,
            lun: 0,
            number,
            entity: (7, 1),
            kind,
            reading: THRESHOLD,
            percent: false,
            unit,
            measure: Some(Measure {
                factors: Factors {
                    format: Format::Unsigned,
                    linear: Linear::None,
                    m,
                    b: 0,
                    b_exponent: 0,
                    r_exponent,
                },
                thresholds: Thresholds {
                    upper_critical: Some(upper_critical),
                    ..Thresholds::default()
                },
            }),
            name: name.to_owned(),
        },
        reading: SensorReading {
            raw,
            // At or above the upper critical limit: bit 4.
            states: if raw.is_some_and(|raw| raw >= upper_critical) {
                0x10
            } else {
                0
            },
        },
    };
    let mut all = vec![
        measured(4, "Inlet Temp", (1, 1), (1, 0), Some(22), 42),
        measured(5, "CPU Temp", (1, 1), (1, 0), Some(101), 100),
        measured(6, "Fan 1", (4, 18), (100, 0), Some(54), 250),
        measured(7, "12V", (2, 4), (59, -3), Some(204), 230),
        measured(8, "DIMM Temp", (1, 1), (1, 0), None, 90),
    ];
    let mut supply = all[0].clone();
    supply.record.number = 9;
    supply.record.kind = 8;
    supply.record.reading = 0x6f;
    supply.record.unit = 0;
    supply.record.measure = None;
    "PSU 1".clone_into(&mut supply.record.name);
    supply.reading = SensorReading {
        raw: Some(0),
        states: 0b1001,
    };
    all.push(supply);
    all
}

/// So many events, a second apart: the CPU is too hot and cools down again, in turns.
pub(crate) fn events(count: u32) -> Vec<SelRecord> {
    let event = |at: u32| {
        SelRecord::System(SystemEvent {
            time: 1_700_000_000 + at,
            generator: 0x20,
            kind: 1,
            number: 5,
            event: THRESHOLD,
            ended: at % 2 == 1,
            data: [0x59, 101, 100],
        })
    };
    (0..count).map(event).collect()
}

async fn equipped(profile: Profile) -> Bmc {
    let bmc = Bmc::start(profile).await;
    bmc.machine.equip(sensors(), events(3));
    bmc
}

#[tokio::test]
async fn everything_that_a_bmc_tells() {
    for lies in [Vec::new(), vec![Lie::SmallReads]] {
        let bmc = equipped(Profile {
            lies,
            ..Profile::default()
        })
        .await;
        let client = bmc.client();
        let report = client.report(ReportKind::Sensors).await.unwrap();
        assert_eq!(report.notes, Vec::<String>::new());
        let told: Vec<_> = report
            .sensors
            .iter()
            .map(|sensor| (sensor.name.as_str(), sensor.reading, sensor.health))
            .collect();
        assert_eq!(
            told,
            [
                ("Inlet Temp", Some(22.0), Health::Ok),
                ("CPU Temp", Some(101.0), Health::Critical),
                ("Fan 1", Some(5400.0), Health::Ok),
                ("12V", Some(12.036), Health::Ok),
                ("DIMM Temp", None, Health::Unknown),
                ("PSU 1", None, Health::Critical),
            ]
        );
        assert_eq!(report.sensors[5].states, ["present", "input lost"]);

        let log = client.report(ReportKind::Log).await.unwrap();
        let told: Vec<_> = log
            .events
            .iter()
            .map(|event| (event.id.as_str(), event.source.as_deref(), event.severity))
            .collect();
        let cpu = Some("CPU Temp");
        assert_eq!(
            told,
            [
                ("1", cpu, Health::Critical),
                ("2", cpu, Health::Ok),
                ("3", cpu, Health::Critical)
            ]
        );
        assert_eq!(
            log.events[0].text,
            "above its upper critical limit (101 Cel, limit 100 Cel)"
        );

        let firmware = client.report(ReportKind::Firmware).await.unwrap();
        assert_eq!(firmware.firmware[0].version.as_deref(), Some("1.04"));
        assert_eq!(firmware.parts[0].serial.as_deref(), Some(SERIAL));

        client.identify(Indicator::On).await.unwrap();
        assert!(bmc.machine.identifies());
        client.identify(Indicator::Off).await.unwrap();
        assert!(!bmc.machine.identifies());
        client.close().await;
        assert_eq!((bmc.handle.open_sessions(), bmc.handle.opened_sessions()), (0, 1));
    }
}

#[tokio::test]
async fn what_a_bmc_cannot_do_has_a_reason() {
    let device = DeviceId {
        has_sdr: false,
        has_sel: false,
        has_fru: false,
        ..DEVICE
    };
    let bmc = equipped(Profile {
        device,
        ..Profile::default()
    })
    .await;
    let client = bmc.client();
    for (kind, reason) in [
        (
            ReportKind::Sensors,
            "no list of sensors: its device id names no SDR repository",
        ),
        (ReportKind::Log, "no event log: its device id names none"),
    ] {
        let error = client.report(kind).await.unwrap_err();
        assert!(
            matches!(&error, Error::Missing { .. }) && !error.retryable(),
            "{error}"
        );
        assert!(error.to_string().contains(reason), "{error}");
    }
    let report = client.report(ReportKind::Capabilities).await.unwrap();
    let missing = report.capabilities.iter().filter(|one| !one.available);
    let missing: Vec<_> = missing.map(|one| one.name.as_str()).collect();
    assert_eq!(missing, ["sensors", "log", "parts", "boot from http"]);
    let firmware = client.report(ReportKind::Firmware).await.unwrap();
    assert_eq!((firmware.firmware.len(), firmware.parts.len()), (1, 0));
    let http = BootOverride::once(BootDevice::Http, BootMode::Uefi);
    let error = client.set_boot(http).await.unwrap_err();
    assert!(matches!(&error, Error::Unsupported { .. }), "{error}");
}

#[tokio::test]
async fn lists_of_a_bmc_that_lies_end() {
    let lying = async |lie| {
        equipped(Profile {
            lies: vec![lie],
            ..Profile::default()
        })
        .await
    };
    let bmc = lying(Lie::SensorsLoop).await;
    let report = bmc.client().report(ReportKind::Sensors).await.unwrap();
    assert_eq!(report.sensors.len(), 6);
    assert_eq!(report.notes, ["the list of sensors leads back to record 1"]);

    let bmc = lying(Lie::LogNeverEnds).await;
    let log = bmc.client().report(ReportKind::Log).await.unwrap();
    assert_eq!(log.events.len(), 512);
    assert_eq!(log.notes, ["no more than 4096 entries of the log are read"]);

    let bmc = lying(Lie::ReservationsLost).await;
    let error = bmc.client().report(ReportKind::Sensors).await.unwrap_err();
    assert!(
        error.to_string().contains("reservation") && error.retryable(),
        "{error}"
    );
}

#[tokio::test]
async fn of_a_long_log_the_newest_entries() {
    let bmc = Bmc::start(Profile::default()).await;
    let client = bmc.client();
    assert_eq!(client.report(ReportKind::Log).await.unwrap().events, []);
    assert_eq!(client.report(ReportKind::Sensors).await.unwrap().sensors, []);
    bmc.machine.equip(Vec::new(), events(3000));
    let log = client.report(ReportKind::Log).await.unwrap();
    assert_eq!(
        (
            log.events.len(),
            log.events[0].id.as_str(),
            log.events[511].id.as_str()
        ),
        (512, "2489", "3000")
    );
    assert_eq!(log.notes, ["the newest 512 of 3000 entries"]);
    // Nobody tells the names of the sensors.
    assert_eq!(log.events[0].source.as_deref(), Some("Temperature 0x05"));
}
