//! The same questions to real programs: OpenIPMI's simulator as BMC, and the usual clients against our server.
//!
//! `hack/needs` installs all of them.

use std::process::Stdio;
use std::time::Duration;

use bmc::{Bmc as _, BootDevice, BootMode, BootOverride, CipherSuite, Error, Ipmi, PowerAction, PowerState};
use ipmi::{Control, Factors, Format, Linear};
use resources::bmc::{Health, ReportKind};
use sim::OpenIpmi;
use sim::ipmi_server::{Chassis as _, Profile};
use tokio::process::Command;

use super::hardware;
use super::machine::{Bmc, PASSWORD, USER, client};

#[tokio::test]
async fn real_ipmi_sim_is_switched_and_its_lost_boot_flags_are_noticed() {
    let simulator = OpenIpmi::start(USER, PASSWORD);
    let client = client(simulator.port(), PASSWORD, &CipherSuite::ALL);
    // It has suite 3 only, and takes a moment to listen.
    let ready = async {
        while client.detect().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ready)
        .await
        .expect("ipmi_sim answers");
    assert_eq!(client.power_state().await.unwrap(), PowerState::Off);
    client.power(PowerAction::On).await.unwrap();
    assert_eq!(client.power_state().await.unwrap(), PowerState::On);
    assert_eq!(simulator.power(), "1");
    let pxe = BootOverride::once(BootDevice::Pxe, BootMode::Uefi);
    let error = client.set_boot(pxe).await.unwrap_err();
    assert!(matches!(&error, Error::BootNotSet { .. }), "{error}");
    assert_eq!(simulator.boot(), "pxe");
    client.power(PowerAction::Off).await.unwrap();
    assert_eq!(client.power_state().await.unwrap(), PowerState::Off);
    sensors_and_log_of(&client).await;
    client.close().await;

    let wrong = super::machine::client(simulator.port(), "fake-other-password", &CipherSuite::ALL);
    let error = wrong.power_state().await.unwrap_err();
    assert!(matches!(&error, Error::Login { .. }), "{error}");
}

/// What [`OpenIpmi`]'s simulator is set up to tell: one temperature, and two entries of the log.
async fn sensors_and_log_of(client: &Ipmi) {
    let report = client.report(ReportKind::Sensors).await.unwrap();
    let told: Vec<_> = report
        .sensors
        .iter()
        .map(|sensor| (sensor.name.as_str(), sensor.reading, sensor.unit.as_deref()))
        .collect();
    assert_eq!(told, [("DJTemp", Some(60.0), Some("Cel"))], "{:?}", report.notes);
    let log = client.report(ReportKind::Log).await.unwrap();
    let told: Vec<_> = log.events.iter().map(|event| event.text.as_str()).collect();
    assert_eq!(
        told,
        [
            "above its upper critical limit",
            "no longer: above its upper critical limit"
        ]
    );
    assert_eq!(log.events[0].source.as_deref(), Some("DJTemp"));
    let firmware = client.report(ReportKind::Firmware).await.unwrap();
    assert_eq!(firmware.firmware[0].version.as_deref(), Some("9.08"));
    let capabilities = client
        .report(ReportKind::Capabilities)
        .await
        .unwrap()
        .capabilities;
    assert!(
        capabilities
            .iter()
            .any(|one| one.name == "sensors" && one.available)
    );
}

/// Runs a client; its standard output, or a panic with all that it said.
async fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let output = tokio::time::timeout(Duration::from_secs(60), output)
        .await
        .expect("it ends");
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; hack/needs installs it"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// What ipmitool is told to reach a BMC.
fn ipmitool<'a>(suite: &'a str, port: &'a str) -> [&'a str; 12] {
    [
        "-I",
        "lanplus",
        "-C",
        suite,
        "-H",
        "127.0.0.1",
        "-p",
        port,
        "-U",
        USER,
        "-P",
        PASSWORD,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn real_ipmitool_drives_our_server() {
    for suite in ["3", "17"] {
        let bmc = Bmc::start(Profile::default()).await;
        let port = bmc.port.to_string();
        let tool = async |words: &[&str]| {
            let fixed = ipmitool(suite, &port);
            run("ipmitool", &[&fixed, words].concat()).await
        };
        assert_eq!(
            tool(&["chassis", "power", "status"]).await.trim(),
            "Chassis Power is off"
        );
        tool(&["chassis", "power", "on"]).await;
        tool(&["chassis", "power", "diag"]).await;
        tool(&["chassis", "bootdev", "pxe", "options=efiboot"]).await;
        let shown = tool(&["chassis", "bootparam", "get", "5"]).await;
        assert!(
            shown.contains("Boot Flag Valid") && shown.contains("Force PXE"),
            "{shown}"
        );
        let fru = tool(&["fru", "print", "0"]).await;
        assert!(
            fru.contains(super::machine::SERIAL) && fru.contains("Example Corp"),
            "{fru}"
        );
        hardware_by(&tool, &bmc).await;
        tool(&["chassis", "power", "cycle"]).await;
        assert_eq!(
            bmc.machine.done(),
            [Control::On, Control::DiagnosticInterrupt, Control::Cycle]
        );
        assert_eq!(bmc.handle.open_sessions(), 0);
        // Both sides set and read the same bits.
        let client = bmc.client();
        client
            .set_boot(BootOverride::once(BootDevice::Disk, BootMode::Legacy))
            .await
            .unwrap();
        let shown = tool(&["chassis", "bootparam", "get", "5"]).await;
        assert!(
            shown.contains("Force Boot from default Hard-Drive") && shown.contains("PC Compatible"),
            "{shown}"
        );
    }
}

/// Sensors, event log, FRU and identify light as ipmitool shows them, beside what our client says.
async fn hardware_by(tool: &impl AsyncFn(&[&str]) -> String, bmc: &Bmc) {
    bmc.machine.equip(hardware::sensors(), hardware::events(2));
    let client = bmc.client();
    let ours = client.report(ReportKind::Sensors).await.unwrap().sensors;
    client.close().await;
    // Name, reading with unit, state.
    let shown = tool(&["sdr", "list", "all"]).await;
    for sensor in &ours {
        let line = shown.lines().find(|line| line.starts_with(&sensor.name));
        let line = line.unwrap_or_else(|| panic!("{} is not in {shown}", sensor.name));
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let Some(value) = sensor.reading else { continue };
        let theirs: f64 = columns[1].split(' ').next().unwrap().parse().unwrap();
        assert!((theirs - value).abs() < 0.01, "{line}: {value}");
        let state = if sensor.health == Health::Critical {
            "cr"
        } else {
            "ok"
        };
        assert_eq!(columns[2], state, "{line}");
    }
    let log = tool(&["sel", "elist"]).await;
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(
        lines[0].contains("CPU Temp") && lines[0].contains("Upper Critical going high"),
        "{log}"
    );
    assert!(
        lines[0].contains("Asserted") && lines[1].contains("Deasserted"),
        "{log}"
    );
    assert!(lines[0].contains("Reading 101 > Threshold 100"), "{log}");
    tool(&["chassis", "identify", "force"]).await;
    assert!(bmc.machine.identifies());
    tool(&["chassis", "identify", "0"]).await;
    assert!(!bmc.machine.identifies());
    let info = tool(&["mc", "info"]).await;
    assert!(
        info.contains("Firmware Revision         : 1.04") && info.contains("SEL Device"),
        "{info}"
    );
}

/// The values of all formulas, by our client and by ipmitool.
#[tokio::test(flavor = "multi_thread")]
async fn real_ipmitool_computes_the_same_values() {
    let linear = [
        Linear::None,
        Linear::Ln,
        Linear::Log10,
        Linear::Log2,
        Linear::Exp,
        Linear::Exp10,
        Linear::Exp2,
        Linear::Reciprocal,
        Linear::Square,
        Linear::Cube,
        Linear::SquareRoot,
        Linear::CubeRoot,
    ];
    let template = hardware::sensors().swap_remove(0);
    let mut all = Vec::new();
    for (place, linear) in linear.into_iter().enumerate() {
        for (at, (format, m, b, b_exponent, r_exponent, raw)) in [
            (Format::Unsigned, 1, 0, 0, -1, 90),
            (Format::Twos, -3, 12, 1, -2, 0xf0),
            (Format::Ones, -2, 100, 0, -2, 0x85),
        ]
        .into_iter()
        .enumerate()
        {
            let number = u8::try_from(place * 3 + at + 1).unwrap();
            let mut sensor = template.clone();
            sensor.record.number = number;
            sensor.record.name = format!("S{number:02}");
            sensor.record.measure.as_mut().unwrap().factors = Factors {
                format,
                linear,
                m,
                b,
                b_exponent,
                r_exponent,
            };
            sensor.reading.raw = Some(raw);
            all.push(sensor);
        }
    }
    let bmc = Bmc::start(Profile::default()).await;
    bmc.machine.equip(all, Vec::new());
    let client = bmc.client();
    let ours = client.report(ReportKind::Sensors).await.unwrap().sensors;
    client.close().await;
    let port = bmc.port.to_string();
    let fixed = ipmitool("17", &port);
    let shown = run(
        "ipmitool",
        &[fixed.as_slice(), &["-c", "sdr", "list", "full"]].concat(),
    )
    .await;
    assert_eq!(ours.len(), 36);
    for sensor in &ours {
        let line = shown.lines().find(|line| line.starts_with(&sensor.name)).unwrap();
        let theirs: f64 = line.split(',').nth(1).unwrap().parse().unwrap();
        let value = sensor.reading.unwrap();
        // Three digits behind the point are shown.
        assert!(
            (theirs - value).abs() <= 0.001 + value.abs() * 1e-6,
            "{line}: {value}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn real_freeipmi_reads_our_hardware() {
    let bmc = Bmc::start(Profile::default()).await;
    bmc.machine.equip(hardware::sensors(), hardware::events(2));
    let host = format!("127.0.0.1:{}", bmc.port);
    let cache = tempfile::tempdir().unwrap();
    let cache = cache.path().to_str().unwrap();
    let tool = async |program: &str, words: &[&str]| {
        let fixed = [
            "-D",
            "LAN_2_0",
            "-I",
            "17",
            "-l",
            "operator",
            "-h",
            &host,
            "-u",
            USER,
            "-p",
            PASSWORD,
            "--sdr-cache-directory",
            cache,
            "--quiet-cache",
        ];
        run(program, &[fixed.as_slice(), words].concat()).await
    };
    let shown = tool(
        "ipmi-sensors",
        &["--comma-separated-output", "--no-header-output"],
    )
    .await;
    for (name, reading) in [
        ("Inlet Temp", "22.00"),
        ("CPU Temp", "101.00"),
        ("Fan 1", "5400.00"),
        ("12V", "12.04"),
    ] {
        let line = shown.lines().find(|line| line.contains(name)).unwrap();
        assert!(line.contains(reading), "{line}");
    }
    assert!(shown.contains("Power Supply input lost"), "{shown}");
    let log = tool("ipmi-sel", &["--no-header-output"]).await;
    assert!(log.contains("CPU Temp") && log.lines().count() == 2, "{log}");
    let fru = tool("ipmi-fru", &[]).await;
    assert!(fru.contains(super::machine::SERIAL), "{fru}");
    bmc.open_sessions(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn real_freeipmi_drives_our_server() {
    let bmc = Bmc::start(Profile::default()).await;
    let host = format!("127.0.0.1:{}", bmc.port);
    for suite in ["3", "17"] {
        let power = async |word: &str| {
            let fixed = [
                "-D", "LAN_2_0", "-I", suite, "-l", "operator", "-h", &host, "-u", USER, "-p", PASSWORD,
            ];
            run("ipmipower", &[fixed.as_slice(), &[word]].concat()).await
        };
        power("--on").await;
        assert!(power("--stat").await.trim().ends_with(": on"));
        power("--off").await;
        assert!(power("--stat").await.trim().ends_with(": off"));
    }
    assert_eq!(
        bmc.machine.done(),
        [Control::On, Control::Off, Control::On, Control::Off]
    );
}

/// Power on, boot from the network once, what is shown of both, and the GUID.
const PYGHMI: &str = "
import sys
from pyghmi.ipmi import command
port, user, password = int(sys.argv[1]), sys.argv[2], sys.argv[3]
bmc = command.Command(bmc='127.0.0.1', userid=user, password=password, port=port, keepalive=False)
bmc.set_power('on')
bmc.set_bootdev('network', persist=False, uefiboot=True)
print(bmc.get_power()['powerstate'], bmc.get_bootdev())
for reading in bmc.get_sensor_data():
    print(reading.name, reading.value, reading.health)
for entry in bmc.get_event_log():
    print(entry['component'], entry['event'])
bmc.ipmi_session.logout()
";

#[tokio::test(flavor = "multi_thread")]
async fn real_pyghmi_drives_our_server() {
    let bmc = Bmc::start(Profile::default()).await;
    bmc.machine.equip(hardware::sensors(), hardware::events(2));
    let port = bmc.port.to_string();
    let shown = run("/usr/bin/python3", &["-c", PYGHMI, &port, USER, PASSWORD]).await;
    assert!(
        shown.contains("on ") && shown.contains("'bootdev': 'network'"),
        "{shown}"
    );
    for part in ["Inlet Temp 22.0", "CPU Temp 101.0", "Fan 1 5400.0"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(shown.matches("CPU Temp Upper").count(), 2, "{shown}");
    assert!(
        shown.contains("'uefimode': True") && shown.contains("'persistent': False"),
        "{shown}"
    );
    assert_eq!(bmc.machine.done(), [Control::On]);
    bmc.open_sessions(0).await;
}
