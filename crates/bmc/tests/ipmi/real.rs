//! The same questions to real programs: OpenIPMI's simulator as BMC, and the usual clients against our server.
//!
//! `hack/needs` installs all of them.

use std::process::Stdio;
use std::time::Duration;

use bmc::{Bmc as _, BootDevice, BootMode, BootOverride, CipherSuite, Error, PowerAction, PowerState};
use ipmi::Control;
use sim::OpenIpmi;
use sim::ipmi_server::Profile;
use tokio::process::Command;

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
    client.close().await;

    let wrong = super::machine::client(simulator.port(), "fake-other-password", &CipherSuite::ALL);
    let error = wrong.power_state().await.unwrap_err();
    assert!(matches!(&error, Error::Login { .. }), "{error}");
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

#[tokio::test(flavor = "multi_thread")]
async fn real_ipmitool_drives_our_server() {
    for suite in ["3", "17"] {
        let bmc = Bmc::start(Profile::default()).await;
        let port = bmc.port.to_string();
        let tool = async |words: &[&str]| {
            let fixed = [
                "-I",
                "lanplus",
                "-C",
                suite,
                "-H",
                "127.0.0.1",
                "-p",
                &port,
                "-U",
                USER,
                "-P",
                PASSWORD,
            ];
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
bmc.ipmi_session.logout()
";

#[tokio::test(flavor = "multi_thread")]
async fn real_pyghmi_drives_our_server() {
    let bmc = Bmc::start(Profile::default()).await;
    let port = bmc.port.to_string();
    let shown = run("/usr/bin/python3", &["-c", PYGHMI, &port, USER, PASSWORD]).await;
    assert!(
        shown.contains("on ") && shown.contains("'bootdev': 'network'"),
        "{shown}"
    );
    assert!(
        shown.contains("'uefimode': True") && shown.contains("'persistent': False"),
        "{shown}"
    );
    assert_eq!(bmc.machine.done(), [Control::On]);
    bmc.open_sessions(0).await;
}
