//! A running rack: assembled, kept, and taken apart whole, whatever ended it.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::command_log::CommandLog;
use crate::machine::{self, Bay, MachineHandle};
use crate::observer::Capture;
use crate::options::{Accelerator, Firmware, UpOptions};
use crate::paths::RackPaths;
use crate::plan::{MachinePlan, RackPlan};
use crate::process::ProcessId;
use crate::redfish::{self, VirtualBmc};
use crate::status::{MachineRecord, SupervisorState};
use crate::{ipmi, kvm, namespace};

const REDFISH_PORT: u16 = 443;
const IPMI_PORT: u16 = 623;
/// The first disk, which stays blank, in bytes.
const FIRST_DISK: u64 = 4 << 30;
/// The USB disk, in bytes.
const USB_DISK: u64 = 2 << 30;
/// How long processes in the rack's namespaces may take to end by themselves.
const PATIENCE: Duration = Duration::from_secs(5);

/// OVMF without Secure Boot: code and empty variables.
const UEFI: [(&str, &str); 2] = [
    (
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
    ),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
];

/// A rack that is up.
#[derive(Debug, Clone)]
pub struct Rack {
    pub plan: RackPlan,
    pub paths: RackPaths,
    pub accelerator: Accelerator,
}

/// What [`crate::up`] tells while it works.
#[derive(Debug, Clone)]
pub enum Progress {
    /// A step begins; one line for the user.
    Step(String),
    /// The rack can be used.
    Ready(Box<Rack>),
}

/// The host's firmware images.
struct UefiFiles {
    code: PathBuf,
    variables: PathBuf,
}

/// Runs a rack in this process until cancelled. Whatever happens, nothing of it is left but its state directory.
pub(crate) async fn run(
    plan: &RackPlan,
    paths: &RackPaths,
    options: &UpOptions,
    cancel: CancellationToken,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<(), Error> {
    let mut tasks = JoinSet::new();
    // Machines and BMCs stop when this function ends, by an error too.
    let stop = CancellationToken::new();
    let result = assemble(plan, paths, options, &stop, &mut tasks, progress).await;
    if result.is_ok() {
        cancel.cancelled().await;
    }
    progress(Progress::Step("taking the rack apart".to_owned()));
    stop.cancel();
    while tasks.join_next().await.is_some() {}
    if let Ok(Some(capture)) = &result {
        capture.stop();
    }
    clear_aside(plan, paths).await;
    result.map(drop)
}

async fn assemble(
    plan: &RackPlan,
    paths: &RackPaths,
    options: &UpOptions,
    stop: &CancellationToken,
    tasks: &mut JoinSet<()>,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Option<Capture>, Error> {
    let mut step = |text: &str| progress(Progress::Step(text.to_owned()));
    let uefi = check_host(options.firmware)?;
    step("checking whether KVM runs guests");
    let accelerator = kvm::choose(options.accelerator).await?;
    step("making blank disks");
    for machine in &plan.machines {
        prepare_disks(machine, paths, options, &uefi)?;
    }
    write_file(&paths.hardware_csv(), 0o600, plan.hardware_csv().as_bytes())?;
    write_file(&paths.facts(), 0o644, to_json(&plan.facts()).as_bytes())?;
    step("making networks");
    namespace::create(plan)?;
    let capture = options
        .capture
        .map(|octets| Capture::start(&plan.rack_namespace, "br-boot", &paths.capture(), octets))
        .transpose()?;
    step("starting BMCs");
    let log = Arc::new(CommandLog::open(&paths.bmc_log())?);
    let shared_paths = Arc::new(paths.clone());
    let mut handles = Vec::new();
    for machine in &plan.machines {
        let bay = Bay {
            plan: machine.clone(),
            paths: Arc::clone(&shared_paths),
            namespace: namespace::open(&plan.rack_namespace)?,
            accelerator,
            uefi_code: uefi.code.clone(),
        };
        let (handle, actor) = machine::spawn(bay, stop.clone());
        tasks.spawn(actor);
        if !plan.ipmi_only {
            let bmc = VirtualBmc::new(machine.clone(), handle.clone(), Arc::clone(&log))?;
            let listener = namespace::listen(&plan.rack_namespace, machine.bmc_ip, REDFISH_PORT)?;
            tasks.spawn(redfish::run(bmc, listener, stop.clone()));
        }
        let socket = namespace::bind_udp(&plan.rack_namespace, machine.bmc_ip, IPMI_PORT)?;
        let (log, cancel) = (Arc::clone(&log), stop.clone());
        tasks.spawn(ipmi::run(machine.clone(), handle.clone(), log, socket, cancel));
        handles.push((machine.name.clone(), handle));
    }
    write_state(paths, accelerator, &handles)?;
    tasks.spawn(keep_state(paths.clone(), accelerator, handles, stop.clone()));
    progress(Progress::Ready(Box::new(Rack {
        plan: plan.clone(),
        paths: paths.clone(),
        accelerator,
    })));
    Ok(capture)
}

/// Programs and files that a rack needs, each missing one named with its package.
fn check_host(firmware: Firmware) -> Result<UefiFiles, Error> {
    let search = std::env::var_os("PATH").unwrap_or_default();
    for (program, package) in [("qemu-system-x86_64", "qemu-system-x86"), ("ip", "iproute2")] {
        if !std::env::split_paths(&search).any(|dir| dir.join(program).is_file()) {
            return Err(Error::MissingProgram { program, package });
        }
    }
    let uefi = |(code, variables): (&str, &str)| UefiFiles {
        code: code.into(),
        variables: variables.into(),
    };
    let found = UEFI
        .into_iter()
        .map(uefi)
        .find(|files| files.code.is_file() && files.variables.is_file());
    match (firmware, found) {
        (_, Some(files)) => Ok(files),
        (Firmware::Bios, None) => Ok(uefi(UEFI[0])),
        (Firmware::Uefi, None) => Err(Error::MissingFile {
            path: UEFI[0].0.into(),
            package: "ovmf",
        }),
    }
}

fn prepare_disks(
    machine: &MachinePlan,
    paths: &RackPaths,
    options: &UpOptions,
    uefi: &UefiFiles,
) -> Result<(), Error> {
    let fixed = [(0, FIRST_DISK), (1, u64::from(machine.disk_gib) << 30)];
    let usb = machine.usb_disk.then_some((2, USB_DISK));
    for (index, size) in fixed.into_iter().chain(usb) {
        let path = paths.disk(machine, index);
        if !(options.keep_disks && path.is_file()) {
            let blank = File::create(&path).and_then(|file| file.set_len(size));
            blank.map_err(Error::file("creating", &path))?;
        }
    }
    let nvram = paths.nvram(machine);
    if machine.firmware == Firmware::Uefi && !(options.keep_disks && nvram.is_file()) {
        fs::copy(&uefi.variables, &nvram).map_err(Error::file("copying firmware variables to", &nvram))?;
    }
    Ok(())
}

/// Writes the state file whenever a machine changes.
async fn keep_state(
    paths: RackPaths,
    accelerator: Accelerator,
    handles: Vec<(String, MachineHandle)>,
    stop: CancellationToken,
) {
    let mut watches: Vec<_> = handles.iter().map(|(_, handle)| handle.watch()).collect();
    loop {
        if let Err(error) = write_state(&paths, accelerator, &handles) {
            tracing::error!(error = %error, "rack state not written");
        }
        let changes = watches.iter_mut().map(|watch| Box::pin(watch.changed()));
        tokio::select! {
            () = stop.cancelled() => return,
            (changed, _, _) = futures::future::select_all(changes) => if changed.is_err() { return },
        }
    }
}

fn write_state(
    paths: &RackPaths,
    accelerator: Accelerator,
    handles: &[(String, MachineHandle)],
) -> Result<(), Error> {
    let pid = i32::try_from(std::process::id()).unwrap_or_default();
    let record = |(name, handle): &(String, MachineHandle)| {
        let state = handle.state();
        MachineRecord {
            name: name.clone(),
            power: state.power,
            since: state.since.to_string(),
            pid: state.pid,
            power_ons: state.power_ons,
            resets: state.resets,
        }
    };
    let state = SupervisorState {
        supervisor: ProcessId::of(pid).unwrap_or(ProcessId { pid, started: 0 }),
        accelerator,
        ready: true,
        machines: handles.iter().map(record).collect(),
    };
    write_file(&paths.state(), 0o600, to_json(&state).as_bytes())
}

/// Writes a file so that a reader sees the old or the new content, never a part.
pub(crate) fn write_file(path: &Path, mode: u32, content: &[u8]) -> Result<(), Error> {
    let draft = path.with_extension("new");
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&draft)?;
        file.write_all(content)?;
        fs::rename(&draft, path)
    };
    write().map_err(Error::file("writing", path))
}

pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> String {
    // These types have string keys only and no failing serializer.
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .unwrap_or_default()
}

/// [`clear`] without blocking the runtime.
pub(crate) async fn clear_aside(plan: &RackPlan, paths: &RackPaths) {
    let (plan, paths) = (plan.clone(), paths.clone());
    if let Err(error) = tokio::task::spawn_blocking(move || clear(&plan, &paths)).await {
        tracing::error!(error = %error, "rack not cleared");
    }
}

/// Ends what still runs in the rack's namespaces and removes namespaces, sockets and the state file. Works on a rack
/// that crashed as well, and on none at all.
pub(crate) fn clear(plan: &RackPlan, paths: &RackPaths) {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let left = || -> Vec<ProcessId> {
        let recorded = crate::status::supervisor_state(paths)
            .into_iter()
            .flat_map(|state| state.machines);
        let qemu = recorded
            .filter_map(|machine| machine.pid)
            .filter(|pid| is_qemu_of(*pid, paths));
        let inside = [&plan.rack_namespace, &plan.site_namespace]
            .into_iter()
            .flat_map(|name| namespace::processes(name));
        inside
            .chain(qemu)
            .filter(|pid| *pid != own)
            .filter_map(ProcessId::of)
            .collect()
    };
    let started = Instant::now();
    let mut signal = Signal::SIGTERM;
    loop {
        let processes = left();
        if processes.is_empty() || started.elapsed() > PATIENCE * 2 {
            break;
        }
        if started.elapsed() > PATIENCE {
            signal = Signal::SIGKILL;
        }
        processes.iter().for_each(|process| process.signal(signal));
        std::thread::sleep(Duration::from_millis(50));
    }
    namespace::remove(plan);
    // Absent files are as good as removed ones. The directory above stays: another rack may be making its own in it.
    let _ = fs::remove_dir_all(paths.socket_dir());
    let _ = fs::remove_file(paths.state());
}

/// Whether a recorded number is still the QEMU of this rack: its command line names the rack's sockets.
fn is_qemu_of(pid: i32, paths: &RackPaths) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&line);
    text.starts_with("qemu-system") && text.contains(paths.socket_dir().to_string_lossy().as_ref())
}
