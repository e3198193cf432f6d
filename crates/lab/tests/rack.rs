//! A whole rack: powered on through its BMC from the appliance's namespace, seen on the wire, taken apart without trace.
//! Needs root, QEMU and OVMF; says so and counts as skipped without them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bmc::{
    Bmc, BootDevice, BootMode, BootOverride, CipherSuite, Connection, Ipmi, IpmiConnection, PowerAction,
    PowerState, Redfish,
};
use lab::{Accelerator, Firmware, MachinePlan, MachineStatus, Power, Progress, Rack, UpOptions};
use nix::sched::{CloneFlags, setns};
use tokio_util::sync::CancellationToken;

/// Boot code that powers off by ACPI (the ports are where SeaBIOS puts them on this chipset).
const POWER_OFF: [u8; 10] = [0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, 0xf4, 0xeb, 0xfd];
/// Boot code that resets through the keyboard controller.
const RESET: [u8; 7] = [0xb0, 0xfe, 0xe6, 0x64, 0xf4, 0xeb, 0xfd];

#[test]
fn bios() {
    boots_from_the_network_once(Firmware::Bios, BootMode::Legacy);
}

#[test]
fn uefi() {
    boots_from_the_network_once(Firmware::Uefi, BootMode::Uefi);
}

/// What a guest does to its own power shows on its BMC, which has IPMI only here.
#[test]
fn guests_power_off_and_reset() {
    let shape = UpOptions {
        ipmi_only: true,
        ..UpOptions::default()
    };
    let Some(rack) = Running::start("guest", Firmware::Bios, shape) else {
        return;
    };
    let machine = rack.machine.clone();
    let disk = rack.rack.paths.disk(&machine, 1);
    write_boot_sector(&disk, &POWER_OFF);
    rack.in_site(switch(ipmi(&machine), PowerAction::On));
    rack.wait_for("power off by the guest", |now| {
        now.power == Power::Off && now.power_ons == 1
    });

    write_boot_sector(&disk, &RESET);
    rack.in_site(switch(ipmi(&machine), PowerAction::On));
    rack.wait_for("resets by the guest", |now| {
        now.power == Power::On && now.power_ons == 2 && now.resets >= 2
    });
    assert!(!asks_for_address(&rack.rack.paths.capture(), &machine));
    rack.in_site(set_boot(ipmi(&machine), BootMode::Legacy));
    // The override is used by the guest's next reset, which has to be a new process.
    rack.wait_for("the restart for the override", |now| {
        now.power_ons == 3 && now.power == Power::On
    });
    rack.wait_for("a DHCP request", |_| {
        asks_for_address(&rack.rack.paths.capture(), &machine)
    });
    rack.in_site(switch(ipmi(&machine), PowerAction::Off));
    rack.end();
}

fn boots_from_the_network_once(firmware: Firmware, mode: BootMode) {
    let Some(rack) = Running::start("network", firmware, UpOptions::default()) else {
        return;
    };
    let (machine, paths) = (rack.machine.clone(), rack.rack.paths.clone());
    for disk in [0, 1] {
        assert!(lab::is_blank(&paths.disk(&machine, disk)).unwrap());
    }
    rack.in_site(power_on_from_network(machine.clone(), mode));
    rack.wait_for("a DHCP request of the booting card", |_| {
        asks_for_address(&paths.capture(), &machine)
    });
    rack.wait_for("on, once", |now| (now.power, now.power_ons) == (Power::On, 1));
    assert!(pid_of_qemu(&machine).is_some());
    rack.in_site(seen_by_ipmi(machine.clone()));
    rack.in_site(power_off(machine.clone()));
    assert_eq!(pid_of_qemu(&machine), None, "off is no process");
    let log = std::fs::read_to_string(paths.bmc_log()).unwrap();
    assert!(log.contains("powered on") && log.contains("next boot from Pxe"));
    assert!(!log.contains(machine.bmc_password.reveal()));
    rack.in_site(switch(redfish(&machine), PowerAction::On));
    rack.end();
}

/// A rack of one machine that runs on a thread of its own.
struct Running {
    root: tempfile::TempDir,
    rack: Box<Rack>,
    machine: MachinePlan,
    cancel: CancellationToken,
    supervisor: JoinHandle<Result<(), lab::Error>>,
}

impl Running {
    /// `None`, said aloud, where racks cannot run.
    fn start(name: &str, firmware: Firmware, shape: UpOptions) -> Option<Self> {
        if let Some(reason) = missing() {
            eprintln!("SKIPPED: {reason}");
            return None;
        }
        let root = tempfile::tempdir().unwrap();
        let options = UpOptions {
            seed: Some(format!("test {name} {firmware} {}", std::process::id())),
            machines: 1,
            firmware,
            memory_mib: vec![512],
            accelerator: Accelerator::Tcg,
            capture: Some(u16::MAX),
            state_root: Some(root.path().to_owned()),
            ..shape
        };
        let cancel = CancellationToken::new();
        let (ready, made) = std::sync::mpsc::channel::<Box<Rack>>();
        let stop = cancel.clone();
        let supervisor = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let mut progress = |progress| {
                if let Progress::Ready(rack) = progress {
                    ready.send(rack).unwrap();
                }
            };
            runtime.block_on(lab::up(&options, stop, &mut progress)).map(drop)
        });
        let Ok(rack) = made.recv() else {
            panic!("no rack: {:?}", supervisor.join())
        };
        let machine = rack.plan.machines[0].clone();
        Some(Self {
            root,
            rack,
            machine,
            cancel,
            supervisor,
        })
    }

    /// Runs the work on a thread in the appliance's namespace, as the appliance would.
    fn in_site(&self, work: impl Future<Output = ()> + Send + 'static) {
        let namespace = File::open(Path::new("/run/netns").join(&self.rack.plan.site_namespace)).unwrap();
        let thread = std::thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(work);
        });
        thread.join().unwrap();
    }

    fn wait_for(&self, what: &str, done: impl Fn(&MachineStatus) -> bool) {
        let started = Instant::now();
        loop {
            let now = lab::status(None, Some(self.root.path()))
                .unwrap()
                .machines
                .remove(0);
            if done(&now) {
                return;
            }
            assert!(
                started.elapsed() < Duration::from_secs(120),
                "{what}: not within 120 s; {now:?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Takes the rack apart and looks for what is left of it.
    fn end(self) {
        self.cancel.cancel();
        self.supervisor.join().unwrap().unwrap();
        assert_eq!(pid_of_qemu(&self.machine), None, "QEMU is left");
        for name in [&self.rack.plan.rack_namespace, &self.rack.plan.site_namespace] {
            assert!(!Path::new("/run/netns").join(name).exists(), "{name} is left");
        }
        let racks = Path::new("/run/gantry-lab");
        assert!(!racks.join(&self.rack.plan.id).exists());
        assert!(
            racks.exists(),
            "removed while other racks make their directories in it"
        );
        assert!(lab::list(Some(self.root.path())).is_empty());
    }
}

fn write_boot_sector(disk: &Path, code: &[u8]) {
    let mut sector = code.to_vec();
    sector.resize(510, 0);
    sector.extend_from_slice(&[0x55, 0xaa]);
    File::options()
        .write(true)
        .open(disk)
        .unwrap()
        .write_all_at(&sector, 0)
        .unwrap();
}

fn missing() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("a rack needs root".to_owned());
    }
    let there = |path: &str| Path::new(path).is_file();
    let files = ["/usr/bin/qemu-system-x86_64", "/usr/share/OVMF/OVMF_CODE_4M.fd"];
    files
        .into_iter()
        .find(|path| !there(path))
        .map(|path| format!("{path} is missing"))
}

async fn power_on_from_network(machine: MachinePlan, mode: BootMode) {
    let client = redfish(&machine);
    let inventory = client.inventory().await.unwrap();
    assert_eq!(inventory.uuid.as_deref(), Some(machine.uuid.as_str()));
    assert!(inventory.nics.iter().any(|nic| nic.mac == machine.boot_mac));
    assert_eq!(client.power_state().await.unwrap(), PowerState::Off);
    client
        .set_boot(BootOverride::once(BootDevice::Pxe, mode))
        .await
        .unwrap();
    client.power(PowerAction::On).await.unwrap();
    assert_eq!(client.power_state().await.unwrap(), PowerState::On);
    let wrong = Connection::insecure(
        &machine.bmc_ip.to_string(),
        &machine.bmc_user,
        resources::Secret::new("fake".to_owned()),
    );
    assert!(matches!(
        Redfish::new(wrong).unwrap().power(PowerAction::Off).await,
        Err(bmc::Error::Login { .. })
    ));
}

async fn power_off(machine: MachinePlan) {
    let client = redfish(&machine);
    client.power(PowerAction::Off).await.unwrap();
    assert_eq!(client.power_state().await.unwrap(), PowerState::Off);
}

async fn set_boot(client: impl Bmc, mode: BootMode) {
    client
        .set_boot(BootOverride::once(BootDevice::Pxe, mode))
        .await
        .unwrap();
}

async fn switch(client: impl Bmc, action: PowerAction) {
    client.power(action).await.unwrap();
    client.close().await;
}

/// IPMI says the same of the machine as Redfish, and takes commands too.
async fn seen_by_ipmi(machine: MachinePlan) {
    let client = ipmi(&machine);
    let inventory = client.inventory().await.unwrap();
    assert_eq!(inventory.uuid.as_deref(), Some(machine.uuid.as_str()));
    assert_eq!(inventory.serial.as_deref(), Some(machine.serial.as_str()));
    assert_eq!(client.power_state().await.unwrap(), PowerState::On);
    client.close().await;
}

fn ipmi(machine: &MachinePlan) -> Ipmi {
    Ipmi::new(IpmiConnection {
        host: machine.bmc_ip.to_string(),
        port: IpmiConnection::PORT,
        username: machine.bmc_user.clone(),
        password: machine.bmc_password.clone(),
        suites: CipherSuite::ALL.to_vec(),
        timeout: Duration::from_secs(20),
    })
    .unwrap()
}

fn redfish(machine: &MachinePlan) -> Redfish {
    let password = machine.bmc_password.clone();
    Redfish::new(Connection::insecure(
        &machine.bmc_ip.to_string(),
        &machine.bmc_user,
        password,
    ))
    .unwrap()
}

/// Whether the capture holds a UDP packet from port 68 to 67 that the booting card sent.
fn asks_for_address(capture: &Path, machine: &MachinePlan) -> bool {
    let bytes = std::fs::read(capture).unwrap_or_default();
    let mac = machine.boot_mac.octets();
    bytes.windows(38).any(|frame| {
        frame[6..12] == mac && frame[12..14] == [8, 0] && frame[23] == 17 && frame[34..38] == [0, 68, 0, 67]
    })
}

/// The QEMU process of a machine, found by its UUID.
fn pid_of_qemu(machine: &MachinePlan) -> Option<u32> {
    let output = Command::new("pgrep")
        .args(["-f", &format!("^qemu-system.*{}", machine.uuid)])
        .output()
        .unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .next()?
        .parse()
        .ok()
}
