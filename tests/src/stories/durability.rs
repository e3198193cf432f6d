//! Story `durability`: no reply leaves `gantry serve` before what it promises was synced. strace watches while kubectl's
//! API, a DHCP client, an agent and an installed system ask over a network of their own.
//!
//! The story runs itself again in a network namespace, so that the appliance may have its usual ports.

use std::time::Duration;

use agent_protocol::ClientIdentity;
use agent_protocol::v1::sessions_client::SessionsClient;
use agent_protocol::v1::workflows_client::WorkflowsClient;
use agent_protocol::v1::{
    Action, ActionState, ClaimRequest, Disk, FirstBootRequest, Inventory, NextRequest, Nic, ReportRequest,
    claim_response::Outcome, next_response::Step,
};
use anyhow::{Context, bail, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use resources::gantry::{Server as Machine, SessionPhase};
use resources::tinkerbell::{Hardware, Template, Workflow};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tonic::transport::Channel;

use super::Options;
use crate::agent_endpoint::{AgentEndpoint, key_and_request};
use crate::end::End;
use crate::namespace::{self, ClientNamespace};
use crate::objects::NAMESPACE;
use crate::server::Server;
use crate::trace::{Promise, Tracer};
use crate::waiting::{unless_asked_to_end, until, until_there};

const MAC: &str = "02:00:5e:10:00:01";
const SECOND_MAC: &str = "02:00:5e:10:00:02";
/// Of the range for benchmarks of networks, RFC 2544.
const SERVER: &str = "198.18.77.1";
const CLIENT: &str = "198.18.77.10";
const AGENT_PORT: &str = ":7443->";
const STATE: &str = "state.db-wal";
const RECORDS: &str = "records.db-wal";
const DATA: &str = "join me";
/// The answer to HTTP/2's ping is 17 bytes in a TLS record.
const LONGER_THAN_A_PONG: usize = 17 + 22 + 1;
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn run(_: Options) -> anyhow::Result<End> {
    let tools = ["strace", "udhcpc", "ip", "unshare", "nsenter"];
    if let Some(what) = namespace::missing(&tools) {
        return Ok(End::Skipped(what));
    }
    if !namespace::is_own() {
        return namespace::again_in_own("durability").await.map(|()| End::Passed);
    }
    let network = ClientNamespace::connected(&format!("{SERVER}/24"), MAC).await?;
    let parts = tempfile::tempdir()?;
    // Nothing boots here, but an appliance without boot files has no boot services.
    std::fs::create_dir(parts.path().join("boot"))?;
    for name in [boot_script::KERNEL_FILE, boot_script::INITRAMFS_FILE] {
        std::fs::write(parts.path().join("boot").join(name), "x")?;
    }
    let folder = parts.path().display().to_string();
    let server = Server::start_with(&[
        "--interface",
        namespace::SERVER_LINK,
        "--address",
        SERVER,
        "--parts",
        &folder,
    ])
    .await?;
    let process = server.pid().context("it ended")?;
    let tracer = Tracer::attach(process, &parts.path().join("trace")).await?;
    let told = unless_asked_to_end(tell(&server, &network, &tracer)).await;
    told.with_context(|| server.log())?;
    tracer.end().await?;
    server.end().await?;
    Ok(End::Passed)
}

async fn tell(server: &Server, network: &ClientNamespace, tracer: &Tracer) -> anyhow::Result<()> {
    let client = server.client().await?;
    object(&client, server, tracer).await?;
    let boot_id = armed(&client).await?;
    lease(network, tracer).await?;
    let endpoint = AgentEndpoint::new(format!("{SERVER}:7443"), &server.kubeconfig())?;
    // Connections stay open to the end: their closing would be sends as well.
    let (agent, _claiming) = session(&client, &endpoint, &boot_id, tracer).await?;
    let (system, _working) = work(&client, &endpoint, &agent, tracer).await?;
    first_boot(&endpoint, &system, tracer).await
}

fn promise(what: &'static str, committed: &str) -> Promise {
    Promise {
        what,
        file: STATE,
        committed: committed.to_owned(),
        socket: AGENT_PORT.to_owned(),
        reply: Vec::new(),
        at_least: LONGER_THAN_A_PONG,
    }
}

/// A write through the API.
async fn object(client: &Client, server: &Server, tracer: &Tracer) -> anyhow::Result<()> {
    // The connection is up and has said all that is said at its begin.
    client.apiserver_version().await?;
    let name = format!("trace-{}", std::process::id());
    let map: ConfigMap = typed(json!({"metadata": {"name": name}}))?;
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let since = tracer.mark().await?;
    api.create(&PostParams::default(), &map).await?;
    let mut promise = promise("an object of the API", &name);
    promise.at_least = 0;
    promise.socket = format!("TCP:[127.0.0.1:{}->", server.port());
    tracer.kept(since, &promise).await
}

/// The address of a machine.
async fn lease(network: &ClientNamespace, tracer: &Tracer) -> anyhow::Result<()> {
    let since = tracer.mark().await?;
    let client = network.link();
    network.run(&[
        "udhcpc",
        "-i",
        client,
        "-f",
        "-q",
        "-n",
        "-t",
        "5",
        "-s",
        "/bin/true",
    ])?;
    let mut promise = promise("a DHCP ACK", &format!("ACK {CLIENT}"));
    promise.file = RECORDS;
    // A client without an address is answered on a packet socket, others by UDP.
    promise.socket = String::new();
    // Magic cookie, then the message type: ACK.
    promise.at_least = 0;
    promise.reply = vec![0x63, 0x82, 0x53, 0x63, 53, 1, 5];
    tracer.kept(since, &promise).await
}

/// Hardware, Template and Workflow of a user; gives the boot id once the machine is armed.
async fn armed(client: &Client) -> anyhow::Result<String> {
    // The story's agent and installed system call from the appliance's own address, as if the machine had it too.
    let spec = json!({"disks": [{"device": "/dev/vda"}], "interfaces": [{
        "netboot": {"allowPXE": true},
        "dhcp": {"mac": MAC, "hostname": "traced", "ip": {"address": CLIENT, "netmask": "255.255.255.0"}},
    }, {"dhcp": {"mac": SECOND_MAC, "ip": {"address": SERVER, "netmask": "255.255.255.0"}}}]});
    create::<Hardware>(client, "tinkerbell.org/v1alpha1", "Hardware", spec).await?;
    let machines: Api<Machine> = Api::namespaced(client.clone(), NAMESPACE);
    until_there(&machines, "traced", PATIENCE).await?;
    let claim = json!({"spec": {"claim": {
        "kind": "Story", "name": "traced", "namespace": NAMESPACE, "bootstrapSecret": "traced-data"}}});
    let params = PatchParams::default();
    machines.patch("traced", &params, &Patch::Merge(claim)).await?;
    let secret = json!({"metadata": {"name": "traced-data"}, "stringData": {"value": DATA}});
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    secrets.create(&PostParams::default(), &typed(secret)?).await?;
    let data = json!({"version": "0.1", "name": "traced", "global_timeout": 600, "tasks": [{
        "name": "install", "worker": "{{.device_1}}", "actions": [{
            "name": "stream", "image": "quay.io/tinkerbell/actions/image2disk:latest", "timeout": 300,
            "environment": {"IMG_URL": "http://192.0.2.1/none", "DEST_DISK": "/dev/vda"}}]}]});
    let template = json!({"data": data.to_string()});
    create::<Template>(client, "tinkerbell.org/v1alpha1", "Template", template).await?;
    let workflow =
        json!({"templateRef": "traced", "hardwareRef": "traced", "hardwareMap": {"device_1": MAC}});
    create::<Workflow>(client, "tinkerbell.org/v1alpha1", "Workflow", workflow).await?;
    until("the machine is armed", PATIENCE, || async {
        let machine = machines.get("traced").await.map_err(|error| error.to_string())?;
        let status = machine.status.unwrap_or_default();
        match status.boot_session {
            Some(session) if session.phase == SessionPhase::Armed => Ok(session.boot_id),
            _ => Err(status.reason.unwrap_or_default()),
        }
    })
    .await
}

/// Claims the session; gives the agent's identity.
async fn session(
    client: &Client,
    endpoint: &AgentEndpoint,
    boot_id: &str,
    tracer: &Tracer,
) -> anyhow::Result<(ClientIdentity, Channel)> {
    let (csr_pem, key_pem) = key_and_request()?;
    let channel = endpoint.channel(None)?;
    let mut sessions = SessionsClient::new(channel.clone());
    let nic = Nic {
        name: "eth0".to_owned(),
        mac: MAC.to_owned(),
        ..Nic::default()
    };
    let ask = |boot_id: &str| ClaimRequest {
        boot_id: boot_id.to_owned(),
        csr_pem: csr_pem.clone(),
        boot_mac: MAC.to_owned(),
        inventory: Some(Inventory {
            nics: vec![nic.clone()],
            ..Inventory::default()
        }),
        ..ClaimRequest::default()
    };
    sessions.claim(ask("none")).await?;
    let since = tracer.mark().await?;
    let answer = sessions.claim(ask(boot_id)).await?.into_inner();
    let Some(Outcome::Granted(granted)) = answer.outcome else {
        bail!("the claim is refused: {answer:?}")
    };
    let machine = machine(client).await?;
    let claim = machine.status.and_then(|status| status.boot_session?.claim);
    let key = claim.context("no claim")?.public_key.to_string();
    tracer
        .kept(since, &promise("a session's certificate", &key))
        .await?;
    let agent = ClientIdentity {
        certificate_pem: granted.certificate_pem,
        key_pem,
    };
    Ok((agent, channel))
}

/// The action, the certificate of the first boot, and the report; gives the identity of the installed system.
async fn work(
    client: &Client,
    endpoint: &AgentEndpoint,
    agent: &ClientIdentity,
    tracer: &Tracer,
) -> anyhow::Result<(ClientIdentity, Channel)> {
    let channel = endpoint.channel(Some(agent))?;
    let mut workflows = WorkflowsClient::new(channel.clone());
    let refused = workflows.report(ReportRequest::default()).await;
    ensure!(refused.is_err(), "a report of no attempt is taken");

    let since = tracer.mark().await?;
    let disks = vec![Disk {
        device: "/dev/vda".to_owned(),
        size: 1 << 30,
        serial: "durability".to_owned(),
        ..Disk::default()
    }];
    let step = workflows.next(NextRequest { disks }).await?.into_inner().step;
    let Some(Step::Action(action)) = step else {
        bail!("no action: {step:?}")
    };
    // No action has begun before the first one.
    tracer
        .kept(since, &promise("an action", "\"executionStart\":\""))
        .await?;

    let (csr_pem, key_pem) = key_and_request()?;
    let mut sessions = SessionsClient::new(channel.clone());
    let since = tracer.mark().await?;
    let given = sessions
        .first_boot(FirstBootRequest { csr_pem })
        .await?
        .into_inner();
    let first = machine(client).await?.status.and_then(|status| status.first_boot);
    let key = first.context("no first boot")?.public_key.to_string();
    tracer
        .kept(since, &promise("a first-boot certificate", &key))
        .await?;

    let message = format!("traced report {}", std::process::id());
    let since = tracer.mark().await?;
    workflows.report(report(&action, &message)).await?;
    tracer
        .kept(since, &promise("a report's answer", &message))
        .await?;
    let system = ClientIdentity {
        certificate_pem: given.certificate_pem,
        key_pem,
    };
    Ok((system, channel))
}

fn report(action: &Action, message: &str) -> ReportRequest {
    ReportRequest {
        workflow: action.workflow.clone(),
        action_id: action.action_id.clone(),
        state: ActionState::Success.into(),
        message: message.to_owned(),
        attempt: action.attempt,
        ..ReportRequest::default()
    }
}

/// The data of the first boot, and its end.
async fn first_boot(
    endpoint: &AgentEndpoint,
    system: &ClientIdentity,
    tracer: &Tracer,
) -> anyhow::Result<()> {
    let mut system = endpoint.first_boot(system).await?;
    // TLS has said all that it says at its begin once a first answer is there.
    let (status, _) = system.ask("GET", "/v1/first-boot").await?;
    ensure!(status == 405, "{status}");
    let since = tracer.mark().await?;
    let (status, body) = system.ask("POST", "/v1/first-boot").await?;
    ensure!((status, body.as_str()) == (200, DATA), "{status}: {body}");
    tracer
        .kept(since, &promise("the first-boot data", "\"deliveredAt\":\""))
        .await?;
    let since = tracer.mark().await?;
    let (status, _) = system.ask("POST", "/v1/first-boot/done").await?;
    ensure!(status == 204, "{status}");
    tracer
        .kept(since, &promise("the end of a first boot", "\"revokedAt\":\""))
        .await
}

async fn machine(client: &Client) -> anyhow::Result<Machine> {
    let machines: Api<Machine> = Api::namespaced(client.clone(), NAMESPACE);
    Ok(machines.get("traced").await?)
}

async fn create<K>(client: &Client, version: &str, kind: &str, spec: Value) -> anyhow::Result<()>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    K: Clone + std::fmt::Debug + DeserializeOwned + serde::Serialize,
{
    let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "traced"}, "spec": spec});
    let api: Api<K> = Api::namespaced(client.clone(), NAMESPACE);
    let made = api.create(&PostParams::default(), &typed(object)?).await?;
    println!("{kind} {} made", made.name_any());
    Ok(())
}

fn typed<K: DeserializeOwned>(value: Value) -> anyhow::Result<K> {
    Ok(serde_json::from_value(value)?)
}
