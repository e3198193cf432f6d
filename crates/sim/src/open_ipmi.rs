//! OpenIPMI's simulator of a BMC, `ipmi_sim`: a real peer of IPMI clients, with habits of its own. It has cipher suite 3 and
//! not 17, and drops the bits of boot flags that say whether they count and for which firmware.

use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Keeps power and boot source of `ipmi_sim`'s machine in files.
const CHASSIS: &str = r#"#!/bin/sh
folder=$1; shift 2; do=$1; shift
if [ "$do" = get ]; then
  for what; do echo "$what:$(cat "$folder/$what")"; done
else
  while [ $# -gt 1 ]; do echo "$2" >"$folder/$1"; shift 2; done
fi
"#;
/// One controller with the temperature sensor "DJTemp", which reads 60 degrees, and two entries of the log about it.
const EMULATOR: &str = "mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02
sel_enable 0x20 1000 0x0a
sensor_add 0x20 0 1 1 1
sensor_set_event_support 0x20 0 1 enable scanning per-state 000000000000000 000000000000000 000000000000000 000000000000000
sensor_set_value 0x20 0 1 60 0
main_sdr_add 0x20 0x00 0x00 0x51 0x01 0x31 0x20 0x00 0x01 0x03 0x01 0x67 0x88 0x01 0x01 0x85 0x02 0x85 0x02 0x00 0x00 \
0x00 0x01 0x00 0x00 0x01 0x00 0x00 0x00 0x00 0x00 0x00 0x60 0xb0 0x00 0xff 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x02 \
0x02 0x00 0x00 0x00 0xc6 'D' 'J' 'T' 'e' 'm' 'p'
sel_add 0x20 0x02 0x00 0xf1 0x53 0x65 0x20 0x00 0x04 0x01 0x01 0x01 0x09 0xff 0xff
sel_add 0x20 0x02 0x01 0xf1 0x53 0x65 0x20 0x00 0x04 0x01 0x01 0x81 0x09 0xff 0xff
mc_enable 0x20
";

/// A running simulator; it ends with this value.
#[derive(Debug)]
pub struct OpenIpmi {
    folder: TempDir,
    port: u16,
    _child: Child,
}

impl OpenIpmi {
    /// Starts one with this user on a free port of loopback. Its machine is off. It takes a moment until it answers.
    ///
    /// # Panics
    /// When there is no `ipmi_sim`, or no folder can be made.
    #[must_use]
    pub fn start(user: &str, password: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        let place = |name: &str| folder.path().join(name);
        let (script, at) = (place("chassis.sh"), folder.path().display());
        let settings = format!(
            "name \"bmc\"\nset_working_mc 0x20\nstartlan 1\naddr 127.0.0.1 {port}\npriv_limit admin\n\
             allowed_auths_admin none md2 md5 straight\nguid 22988ada3f614c68932ca630b89284e0\nendlan\n\
             chassis_control \"{} {at} 0x20\"\nuser 2 true \"{user}\" \"{password}\" admin 10 none md2 md5 straight\n",
            script.display()
        );
        for (name, text) in [
            ("chassis.sh", CHASSIS),
            ("lan.conf", &settings),
            ("sim.emu", EMULATOR),
            ("power", "0"),
            ("boot", "default"),
        ] {
            std::fs::write(place(name), text).unwrap();
        }
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
        drop(free);
        let child = Command::new("ipmi_sim")
            .arg("-n")
            .args([
                std::ffi::OsString::from("-c"),
                place("lan.conf").into(),
                "-f".into(),
                place("sim.emu").into(),
                "-s".into(),
                place("state").into(),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("ipmi_sim is in Debian's package openipmi: hack/needs");
        Self {
            folder,
            port,
            _child: child,
        }
    }

    /// Its UDP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The state of its machine: 1 is on.
    #[must_use]
    pub fn power(&self) -> String {
        self.file("power")
    }

    /// The boot source that was set last.
    #[must_use]
    pub fn boot(&self) -> String {
        self.file("boot")
    }

    fn file(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.folder.path().join(name));
        text.unwrap_or_default().trim().to_owned()
    }
}
