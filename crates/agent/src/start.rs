//! From the kernel's start to the worker's loop, in order. Nothing here ends: what does not work is said and tried again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agent_protocol::environment::SITE_CA_PATH;
use agent_protocol::v1::ClaimRequest;
use agent_protocol::{LEASE, SteppedClock};
use rustls::crypto::CryptoProvider;

use crate::inventory::inventory;
use crate::network::{self, Network};
use crate::session::{Appliance, MachineKey, claim};
use crate::system::{self, Modules};
use crate::worker::{Ended, work};
use crate::{Console, Error, Host, KernelArguments, Lease, RealHost};

/// Modules that no device asks for.
const ALWAYS: [&str; 5] = ["af_packet", "edd", "efivarfs", "ext4", "rtc_cmos"];
/// Pause after something that a person has to fix.
const PAUSE: Duration = Duration::from_secs(30);

/// Runs the installer. Comes back only if the machine can't be made usable at all. The key is the caller's, so that a
/// second call is still the same machine to the appliance: another key would freeze the session.
///
/// # Errors
/// When the basic file systems can't be mounted or there is no runtime.
pub fn run(provider: &Arc<CryptoProvider>, key: &MachineKey) -> Result<(), Error> {
    system::mount_system()?;
    let console = Console::system();
    console.say(format!("installer {} is starting", env!("CARGO_PKG_VERSION")));
    let modules = Arc::new(Modules::of_running_kernel());
    if let Err(error) = system::make_kernel_ask_us() {
        console.say(error.line());
    }
    let mut loaded = modules.load_for_devices();
    loaded.extend(ALWAYS.iter().flat_map(|name| modules.load(name)));
    system::mount_system()?;
    console.say(format!("{} kernel modules loaded", loaded.len()));
    let line = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let arguments = KernelArguments::parse(&line);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Error::kernel("starting the runtime"))?;
    runtime.block_on(async {
        let (found_by, runtime) = (Arc::clone(&modules), tokio::runtime::Handle::current());
        let host = tokio::task::spawn_blocking(move || RealHost::find(found_by, runtime));
        let network = network::bring_up(arguments.boot_mac, &modules, &console).await;
        let host: Arc<dyn Host> = match host.await {
            Ok(host) => Arc::new(host),
            Err(source) => {
                return Err(Error::Kernel {
                    operation: "looking for disks".to_owned(),
                    source: source.into(),
                });
            }
        };
        loop {
            let machine = Machine {
                arguments: &arguments,
                network: &network,
                host: &host,
                provider,
                key,
            };
            let error = serve(&machine, &console).await;
            console.say(format!("{}; trying again in {} s", error.line(), PAUSE.as_secs()));
            tokio::time::sleep(PAUSE).await;
        }
    })
}

/// Claims and works until something can't go on.
async fn serve(machine: &Machine<'_>, console: &Console) -> Error {
    let (appliance, request) = match prepare(machine) {
        Ok(prepared) => prepared,
        Err(error) => return error,
    };
    let disks = request
        .inventory
        .as_ref()
        .map_or(0, |inventory| inventory.disks.len());
    console.say(format!(
        "{disks} disks; asking {} ({}) for a session",
        appliance.address, appliance.site
    ));
    loop {
        let session = match claim(&appliance, machine.key, &request, console).await {
            Ok(session) => Arc::new(session),
            Err(error) => return error,
        };
        let lease = Arc::new(Lease::new(session.asked, LEASE));
        match work(&session, machine.host, &lease, console).await {
            Ended::ClaimAgain => tokio::time::sleep(Duration::from_secs(5)).await,
            Ended::Leave { kexec } => {
                console.say(if kexec {
                    "leaving by kexec"
                } else {
                    "restarting the machine"
                });
                return system::leave(kexec);
            }
        }
    }
}

/// What the machine has by the time it asks for a session.
struct Machine<'a> {
    arguments: &'a KernelArguments,
    network: &'a Network,
    host: &'a Arc<dyn Host>,
    provider: &'a Arc<CryptoProvider>,
    key: &'a MachineKey,
}

fn prepare(machine: &Machine<'_>) -> Result<(Appliance, ClaimRequest), Error> {
    let arguments = machine.arguments;
    let missing = |name| Error::KernelArgument { name };
    let boot_id = arguments
        .boot_id
        .clone()
        .ok_or_else(|| missing("gantry.boot_id"))?;
    let address = arguments.server.clone().ok_or_else(|| missing("gantry.server"))?;
    let site = arguments.site.clone().ok_or_else(|| missing("gantry.site"))?;
    let ca_pem =
        std::fs::read_to_string(SITE_CA_PATH).map_err(Error::file(SITE_CA_PATH, "reading the site CA"))?;
    let now = system::first_time(arguments.time, uptime(), system::build_time());
    let request = ClaimRequest {
        boot_id,
        csr_pem: machine.key.request_pem()?,
        inventory: Some(inventory(Path::new("/sys"))),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_mac: machine.network.nic.mac.to_string(),
    };
    let appliance = Appliance {
        address,
        site,
        ca_pem,
        clock: Arc::new(SteppedClock::new(now)),
        provider: Arc::clone(machine.provider),
    };
    Ok((appliance, request))
}

/// Time since the kernel's start.
fn uptime() -> Duration {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = text.split(' ').next().and_then(|seconds| seconds.parse().ok());
    seconds.map_or(Duration::ZERO, |seconds: f64| {
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    })
}
