//! A site in process with every service that machines call, on loopback, where each address of 127.0.0.0/8 is a host of
//! its own.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent_protocol::v1::sessions_server::SessionsServer;
use agent_protocol::v1::workflows_server::WorkflowsServer;
use agent_protocol::{ClientIdentity, Leases, SteppedClock};
use boot_script::{Event, EventSender, INITRAMFS_FILE, KERNEL_FILE, SiteSettings, ViewHandle};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use pki::{ClientCertificates, KeyDir, ServingCertificate, SiteCa, Validity};
use resources::gantry::{Server, SessionPhase};
use resources::tinkerbell::{Hardware, Template, Workflow};
use resources::{BootEvent, BootEventKind, keys};
use rustls::crypto::aws_lc_rs::default_provider;
use sealed_files::SealedFiles;
use serde_json::{Value, json};
use store::records::Records;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::{DATA, FILE};
use crate::agent_endpoint::{self, Endpoint};
use crate::callers::Callers;
use crate::gates;

pub(super) const NAMESPACE: &str = "eksa-system";
pub(super) const MAC: &str = "52:54:00:00:00:01";
pub(super) const ADDRESS: &str = "127.0.0.11";
pub(super) const OTHER_MAC: &str = "52:54:00:00:00:02";
pub(super) const OTHER_ADDRESS: &str = "127.0.0.12";
const SITE: &str = "site.gantry.internal";
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Rack {
    pub(super) api: sim::Site,
    pub(super) ca: Arc<SiteCa>,
    events: EventSender,
    records: Arc<Mutex<Vec<Event>>>,
    view: Arc<ViewHandle>,
    files: SealedFiles,
    http: SocketAddr,
    tftp: SocketAddr,
    agents: SocketAddr,
    tasks: JoinSet<()>,
    cancel: CancellationToken,
}

impl Rack {
    pub(super) async fn start() -> Self {
        let _ = default_provider().install_default();
        let api = sim::Site::start(NAMESPACE).await;
        let keys = KeyDir::open(api.scratch().join("keys")).unwrap();
        let ca = Arc::new(SiteCa::load_or_create(&keys, SITE, Timestamp::now()).unwrap());
        let view = ViewHandle::new();
        let (events, mut queue) = EventSender::channel(4096);
        let (records, cancel) = (Arc::<Mutex<Vec<Event>>>::default(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        let kept = records.clone();
        tasks.spawn(async move {
            while let Some(event) = queue.recv().await {
                kept.lock().unwrap().push(event);
            }
        });
        let (client, followed, ended) = (api.client(), view.clone(), cancel.clone());
        tasks.spawn(async move { boot_script::follow(client, followed, ended).await.unwrap() });
        let mut rack = Self {
            http: ([127, 0, 0, 1], 0).into(),
            tftp: ([127, 0, 0, 1], 0).into(),
            agents: ([127, 0, 0, 1], 0).into(),
            files: sim::sealed_files(api.scratch()),
            api,
            ca,
            events,
            records,
            view,
            tasks,
            cancel,
        };
        rack.serve_boot().await;
        rack.serve_agents().await;
        rack.objects().await;
        rack
    }

    async fn serve_boot(&mut self) {
        let boot_dir = self.api.scratch().join("boot");
        std::fs::create_dir(&boot_dir).unwrap();
        for name in [KERNEL_FILE, INITRAMFS_FILE] {
            std::fs::write(boot_dir.join(name), name).unwrap();
        }
        let config = netboot::Config {
            site: SiteSettings::new(SITE, [127, 0, 0, 1].into()),
            boot_dir,
            images_dir: self.api.scratch().join("images"),
            site_ca: self.ca.ca_pem().to_owned(),
        };
        let (view, events) = (self.view.clone(), self.events.clone());
        let deps = netboot::Deps {
            view: view.clone(),
            events: events.clone(),
        };
        let of_metadata = metadata::Deps {
            view: view.clone(),
            events: events.clone(),
        };
        let router = netboot::router(config, deps)
            .unwrap()
            .merge(metadata::router(metadata::Config::default(), of_metadata));
        let gate = gates::for_machines("HTTP", netboot::SHARES, &view, &events);
        // Also reached by the address's IPv6 form.
        let listener = TcpListener::bind("[::]:0").await;
        let listener = match listener {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind("0.0.0.0:0").await.unwrap(),
        };
        self.http.set_port(listener.local_addr().unwrap().port());
        self.tasks
            .spawn(netboot::run_http(listener, gate, router, self.cancel.clone()));
        let tftp = tftp::Config {
            address: self.tftp,
            files: tftp::Files::default(),
        };
        let tftp = tftp::Server::bind(tftp).await.unwrap();
        self.tftp = tftp.local_address().unwrap();
        self.tasks
            .spawn(tftp.run(tftp::Deps { view, events }, self.cancel.clone()));
    }

    async fn serve_agents(&mut self) {
        let (client, leases) = (self.api.client(), Arc::new(Leases::default()));
        let servers = servers::build(servers::Context {
            client: client.clone().into(),
            ca: self.ca.clone(),
            view: self.view.clone(),
            leases: leases.clone(),
            endpoints: vec!["https://127.0.0.1:7443".to_owned()],
            events: self.events.clone(),
            files: self.files.clone(),
            allowances: servers::Allowances {
                post_minutes: 30,
                manual_minutes: 1440,
            },
            control_plane_proof: servers::ControlPlaneProof::default(),
        });
        self.tasks.spawn(servers.controller.run(self.cancel.clone()));
        let records = Records::open(self.api.scratch().join("records.db"))
            .await
            .unwrap();
        let workflows = workflow::build(workflow::Context {
            client,
            leases,
            records,
        });
        self.tasks.spawn(workflows.controller.run(self.cancel.clone()));
        let routes = tonic::service::Routes::new(SessionsServer::new(servers.sessions))
            .add_service(WorkflowsServer::new(workflows.workflows));
        let listener = TcpListener::bind(self.agents).await.unwrap();
        self.agents = listener.local_addr().unwrap();
        let own = self
            .ca
            .issue_server(&[], &[IpAddr::from([127, 0, 0, 1])], hour())
            .unwrap();
        let own = ServingCertificate::new(&own).unwrap();
        let time = Arc::new(rustls::time_provider::DefaultTimeProvider);
        let tls = pki::server_config(&self.ca, own, ClientCertificates::Optional, time).unwrap();
        let endpoint = Endpoint {
            tls: Arc::new(tls),
            site: Arc::from(SITE),
            gate: gates::for_machines("agents", agent_endpoint::SHARES, &self.view, &self.events),
            callers: Callers {
                view: self.view.clone(),
                events: self.events.clone(),
            },
            router: routes.prepare().into_axum_router().merge(servers.first_boot),
        };
        self.tasks
            .spawn(agent_endpoint::run(listener, endpoint, self.cancel.clone()));
    }

    /// A control plane's machine with all that a thief may want, and another machine.
    async fn objects(&self) {
        for (name, mac, address) in [("node-1", MAC, ADDRESS), ("node-2", OTHER_MAC, OTHER_ADDRESS)] {
            let hardware = json!({
                "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware", "metadata": {"name": name},
                "spec": {"userData": super::USER_DATA, "disks": [{"device": "/dev/vda"}],
                    "interfaces": [{"netboot": {"allowPXE": true}, "dhcp": {"mac": mac, "ip": {"address": address}}}]}
            });
            self.api.make::<Hardware>(hardware).await;
            self.api
                .when::<Server>(name, |server| server.status.is_some())
                .await;
        }
        let known = json!({"uuid": "4c4c4544-0001", "serial": "S1"});
        self.api
            .merge_status::<Server>("node-1", json!({"status": {"inventory": known}}))
            .await;
        let claim = json!({"spec": {"claim": {"kind": "ProviderMachine", "name": "cp-1", "namespace": NAMESPACE,
            "role": "controlPlane", "bootstrapSecret": "cp-1-data"}}});
        self.api.merge::<Server>("node-1", claim).await;
        let mut file = self.files.create("eksa-system/demo").await.unwrap();
        file.write_all(FILE.as_bytes()).await.unwrap();
        let stored = file.finish().await.unwrap();
        let named = format!("eksa-system/demo/{}", stored.sha256.hex());
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"value": DATA},
            "metadata": {"name": "cp-1-data", "annotations": {keys::FIRST_BOOT_FILE: named}}});
        self.api.make::<Secret>(secret).await;
    }

    /// Makes the Workflow of a user; the boot id once the machine is armed and the boot services know it.
    pub(super) async fn arm(&self) -> String {
        let actions = json!([
            {"name": "stream", "image": "image2disk", "timeout": 300,
             "environment": {"IMG_URL": super::IMAGE_URL, "DEST_DISK": "/dev/vda"}},
            {"name": "leave", "image": "reboot", "timeout": 300}]);
        let data = json!({"version": "0.1", "name": "install", "global_timeout": 600, "tasks": [{
            "name": "install", "worker": "{{.device_1}}", "actions": actions}]});
        let object = |kind: &str, spec: Value| {
            json!({"apiVersion": "tinkerbell.org/v1alpha1", "kind": kind,
                "metadata": {"name": "install"}, "spec": spec})
        };
        let template = object("Template", json!({"data": data.to_string()}));
        self.api.make::<Template>(template).await;
        let workflow =
            json!({"templateRef": "install", "hardwareRef": "node-1", "hardwareMap": {"device_1": MAC}});
        self.api.make::<Workflow>(object("Workflow", workflow)).await;
        let armed = self.phase(SessionPhase::Armed).await;
        let boot_id = armed.status.unwrap().boot_session.unwrap().boot_id;
        let known = self.view.wait(|view| {
            let session = view.session(NAMESPACE, "node-1");
            session.is_some_and(|session| session.phase == SessionPhase::Armed)
        });
        tokio::time::timeout(PATIENCE, known).await.unwrap();
        boot_id
    }

    /// The machine's Server once its session is in this phase.
    pub(super) async fn phase(&self, phase: SessionPhase) -> Server {
        let is = |server: &Server| {
            let session = server
                .status
                .as_ref()
                .and_then(|status| status.boot_session.as_ref());
            session.is_some_and(|session| session.phase == phase)
        };
        self.api.when::<Server>("node-1", is).await
    }

    /// The firmware's first packet, as the DHCP service passes it on.
    pub(super) fn hear_firmware(&self) {
        let event = BootEvent {
            kind: BootEventKind::Dhcp,
            mac: Some(MAC.parse().unwrap()),
            peer: None,
            text: "DISCOVER".to_owned(),
        };
        let view = self.view.load();
        let target = view.by_mac(MAC.parse().unwrap()).known();
        self.events
            .send(target.map(AsRef::as_ref), Timestamp::now(), event);
    }

    /// Records of calls from this address.
    pub(super) fn records_of(&self, address: &str) -> Vec<String> {
        let all = self.records.lock().unwrap();
        let own = all
            .iter()
            .filter(|event| event.event.peer.as_deref() == Some(address));
        own.map(|event| format!("{}: {}", event.machine, event.event.text))
            .collect()
    }

    /// The answer of the boot services to this head.
    pub(super) async fn get(&self, from: &str, path: &str, headers: &str) -> String {
        exchange(connect(from, self.http).await, &http_head("GET", path, headers)).await
    }

    /// As [`Self::get`], between IPv4 addresses in their IPv6 form; by IPv4 where there is no IPv6.
    pub(super) async fn mapped_get(&self, from: &str, path: &str) -> String {
        let Ok(socket) = TcpSocket::new_v6() else {
            return self.get(from, path, "").await;
        };
        socket
            .bind(format!("[::ffff:{from}]:0").parse().unwrap())
            .unwrap();
        let to = format!("[::ffff:127.0.0.1]:{}", self.http.port());
        let stream = socket.connect(to.parse().unwrap()).await.unwrap();
        exchange(stream, &http_head("GET", path, "")).await
    }

    /// The first datagram of a TFTP answer.
    pub(super) async fn tftp(&self, from: &str, file: &str) -> String {
        let socket = UdpSocket::bind((from, 0)).await.unwrap();
        let request = [b"\0\x01", file.as_bytes(), b"\0octet\0"].concat();
        socket.send_to(&request, self.tftp).await.unwrap();
        let mut answer = [0; 1024];
        let received = tokio::time::timeout(PATIENCE, socket.recv_from(&mut answer)).await;
        let (length, _) = received.unwrap().unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    fn tls(&self, identity: Option<&ClientIdentity>) -> rustls::ClientConfig {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let (provider, clock) = (Arc::new(default_provider()), Arc::new(SteppedClock::new(now)));
        agent_protocol::client_config(provider, self.ca.ca_pem(), identity, clock).unwrap()
    }

    /// A channel from this address.
    pub(super) fn channel(&self, from: &str, identity: Option<&ClientIdentity>) -> Channel {
        let (from, to, tls) = (from.to_owned(), self.agents, Arc::new(self.tls(identity)));
        let connector = tower::service_fn(move |_: http::Uri| {
            let (from, tls) = (from.clone(), tls.clone());
            async move {
                let stream = encrypted(connect(&from, to).await, tls).await?;
                Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(stream))
            }
        });
        Channel::from_static("http://agents").connect_with_connector_lazy(connector)
    }

    /// The answer to a POST from this address.
    pub(super) async fn post(&self, from: &str, path: &str, identity: Option<&ClientIdentity>) -> String {
        let mut tls = self.tls(identity);
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let stream = encrypted(connect(from, self.agents).await, Arc::new(tls)).await;
        // A report that can be read; the other routes read no body.
        let body = r#"{"stage":"of-a-thief","lines":["thief"]}"#;
        let head = http_head("POST", path, &format!("Content-Length: {}\r\n", body.len()));
        exchange(stream.unwrap(), &(head + body)).await
    }

    pub(super) async fn end(self) {
        let Self {
            api,
            events,
            mut tasks,
            cancel,
            ..
        } = self;
        cancel.cancel();
        drop(events);
        tasks.shutdown().await;
        drop(api.end().await);
    }
}

pub(super) fn hour() -> Validity {
    Validity::lasting(Timestamp::now(), SignedDuration::from_hours(1))
}

async fn connect(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

async fn encrypted(
    stream: TcpStream,
    tls: Arc<rustls::ClientConfig>,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let name = rustls_pki_types::ServerName::try_from(SITE).unwrap();
    tokio_rustls::TlsConnector::from(tls).connect(name, stream).await
}

fn http_head(method: &str, path: &str, headers: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: gantry\r\nConnection: close\r\n{headers}\r\n")
}

async fn exchange(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, head: &str) -> String {
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The other side may close without TLS's farewell.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
