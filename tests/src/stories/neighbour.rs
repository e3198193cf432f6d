//! Story `neighbour`: a host on the machines' network floods the appliance's listeners, TCP, DHCP and TFTP, while a machine is
//! offered its address and fetches its boot files, an agent greets and a user asks with kubectl. All of them are served as usual, memory stays bounded, and what was
//! recorded of the machine is still there.
//!
//! The story runs itself again in a network namespace, so that the appliance may have its usual ports; the neighbour and the
//! machine are in another one.

mod addresses;
mod connections;
mod datagrams;
mod usual;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams};
use kube::{Client, ResourceExt};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use resources::tinkerbell::Hardware;
use serde_json::json;

use super::Options;
use crate::agent_endpoint::AgentEndpoint;
use crate::end::End;
use crate::kubectl::Kubectl;
use crate::namespace::{self, ClientNamespace};
use crate::objects::NAMESPACE;
use crate::server::Server;
use crate::waiting::{unless_asked_to_end, until};
use addresses::{MAC, MACHINE, NEIGHBOURS, SERVER, neighbour};
use connections::Flood;
use usual::{Service, Times};

const NAME: &str = "neighboured";
/// Memory that the appliance may take on top, in bytes.
const MEMORY: u64 = 32 << 20;
/// Files that this program opens, with room.
const OPEN_FILES: u64 = 16_384;
/// Records that all strangers together may leave.
const STRANGERS: usize = 4000;
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn run(_: Options) -> anyhow::Result<End> {
    if let Some(what) = namespace::missing(&["ip", "unshare", "nsenter"]) {
        return Ok(End::Skipped(what));
    }
    if Kubectl::find(Path::new("")).is_none() {
        return Ok(End::Skipped(
            "kubectl: gantry image build, or put one on PATH".to_owned(),
        ));
    }
    if !namespace::is_own() {
        return namespace::again_in_own("neighbour").await.map(|()| End::Passed);
    }
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES.min(most), most)?;
    let network = ClientNamespace::connected(&format!("{SERVER}/24"), MAC).await?;
    network.add_address(MACHINE)?;
    for number in NEIGHBOURS {
        network.add_address(neighbour(number))?;
    }
    let parts = tempfile::tempdir()?;
    std::fs::create_dir(parts.path().join("boot"))?;
    for name in [
        boot_script::KERNEL_FILE,
        boot_script::INITRAMFS_FILE,
        datagrams::FILE,
    ] {
        std::fs::write(parts.path().join("boot").join(name), vec![b'x'; 100_000])?;
    }
    let folder = parts.path().display().to_string();
    let address = SERVER.to_string();
    let arguments = [
        "--interface",
        namespace::SERVER_LINK,
        "--address",
        &address,
        "--parts",
        &folder,
    ];
    let server = Server::start_on(SERVER, &arguments).await?;
    let told = unless_asked_to_end(tell(&server, &network)).await;
    told.with_context(|| server.log())?;
    server.end().await?;
    Ok(End::Passed)
}

async fn tell(server: &Server, network: &ClientNamespace) -> anyhow::Result<()> {
    let client = server.client().await?;
    let endpoint = AgentEndpoint::new(format!("{SERVER}:7443"), &server.kubeconfig())?;
    let kubectl = Kubectl::find(&server.kubeconfig()).context("kubectl is gone")?;
    let service = Service {
        network,
        kubectl,
        tls: endpoint.anonymous()?,
    };
    hardware(&client).await?;
    until("the machine gets its boot script", PATIENCE, || async {
        service.script().map_err(|error| format!("{error:#}"))
    })
    .await?;

    let usual = service.times("usually")?;
    let before = evidence(&client, NAME).await?;
    ensure!(!before.is_empty(), "nothing is recorded of the machine");
    let process = server.pid().context("it ended")?;
    let memory = resident(process)?;

    let api = SocketAddr::from((SERVER, server.port()));
    let flood = Flood::start(network, api, &service.tls)?;
    let requests = datagrams::Flood::start(network)?;
    let flooded = service.times("under the flood")?;
    println!("{} rounds of made-up DHCP and TFTP requests", requests.end()?);
    let grown = resident(process)?.saturating_sub(memory);
    println!(
        "memory: {} KiB more than the {} KiB before",
        grown >> 10,
        memory >> 10
    );
    Times::compare(&usual, &flooded)?;
    ensure!(grown < MEMORY, "memory grew by {} KiB", grown >> 10);
    flood.closed().await?;

    let after = evidence(&client, NAME).await?;
    ensure!(
        before.iter().all(|name| after.contains(name)),
        "records of the machine are gone"
    );
    let all = events(&client).list(&ListParams::default()).await?.items;
    let of_kind = |kind: &str| {
        all.iter()
            .filter(|event| event.data["data"]["kind"] == kind)
            .count()
    };
    let refusals = of_kind("Refusal");
    let strangers = all
        .iter()
        .filter(|event| {
            event.data["data"]["machine"]
                .as_str()
                .unwrap_or_default()
                .is_empty()
        })
        .count();
    println!("{strangers} records of no machine of the site");
    ensure!(
        (1..=STRANGERS).contains(&strangers),
        "{strangers} records of no machine of the site"
    );
    println!("{refusals} records of refusals");
    // At most 64 addresses with a record of their own for each reason and listener, and one for all others.
    ensure!(
        (1..=2 * 3 * 65).contains(&refusals),
        "{refusals} records of refusals"
    );
    Ok(())
}

async fn hardware(client: &Client) -> anyhow::Result<()> {
    let hardware: Hardware = serde_json::from_value(json!({
        "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware", "metadata": {"name": NAME},
        "spec": {"disks": [{"device": "/dev/vda"}], "interfaces": [{
            "netboot": {"allowPXE": true},
            "dhcp": {"mac": MAC, "hostname": NAME, "ip": {"address": MACHINE, "netmask": "255.255.255.0"}}}]}}))?;
    let api: Api<Hardware> = Api::namespaced(client.clone(), NAMESPACE);
    api.create(&PostParams::default(), &hardware).await?;
    Ok(())
}

fn events(client: &Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("records.gantry.dev", "v1alpha1", "BootEvent");
    Api::all_with(
        client.clone(),
        &ApiResource::from_gvk_with_plural(&kind, "bootevents"),
    )
}

/// Names of what is recorded of a machine.
async fn evidence(client: &Client, machine: &str) -> anyhow::Result<Vec<String>> {
    let selected = ListParams::default().fields(&format!("machine={machine}"));
    let list = events(client).list(&selected).await?;
    Ok(list.iter().map(ResourceExt::name_any).collect())
}

/// Memory of a process, in bytes.
fn resident(process: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line.context("no VmRSS")?.trim().trim_end_matches(" kB").parse()?;
    Ok(kib << 10)
}
