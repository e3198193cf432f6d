//! What the controllers and the services of this crate share.

use std::net::IpAddr;
use std::sync::Arc;

use agent_protocol::Leases;
use boot_script::{EventSender, MachineFacts, Peer, ViewHandle};
use compare_and_set::Writer;
use jiff::Timestamp;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt as _};
use pki::SiteCa;
use resources::gantry::{BootSession, Server};
use resources::tinkerbell::Workflow;
use resources::{BootEvent, BootEventKind, keys};
use sealed_files::SealedFiles;

use crate::error::Error;
use crate::sessions::{self, Allowances, ControlPlaneProof, Window};

/// Writes what was decided, unless somebody else was first.
pub(crate) const WRITER: Writer = Writer::new(keys::MANAGER_SERVERS);
/// What everything here shares.
#[derive(Debug, Clone)]
pub struct Context {
    /// The API.
    pub client: ClientHandle,
    /// Signs certificates.
    pub ca: Arc<SiteCa>,
    /// What the boot services answer from.
    pub view: Arc<ViewHandle>,
    /// When agents were last heard; the same as that of `workflow`.
    pub leases: Arc<Leases>,
    /// Where the agent endpoint is reached: `https://HOST:PORT`, in the order in which they are tried.
    pub endpoints: Vec<String>,
    /// The way to the records, and what was heard of machines.
    pub events: EventSender,
    /// Files that are too big for the data of a first boot.
    pub files: SealedFiles,
    /// How long armed machines are waited for, where their Servers do not say.
    pub allowances: Allowances,
    /// Whether control-plane machines with a BMC must be confirmed by it.
    pub control_plane_proof: ControlPlaneProof,
}

impl Context {
    /// How an armed session of this machine waits.
    pub(crate) fn window(&self, server: &Server, workflow: Option<&Workflow>) -> Window {
        Window::of(&server.spec, workflow, self.allowances)
    }

    /// The session with what the boot services have heard of its machine by now.
    pub(crate) fn heard(&self, server: &Server, session: &BootSession, window: Window) -> BootSession {
        let sightings = self.events.sightings();
        let namespace = server.namespace().unwrap_or_default();
        let last = sightings.last(&namespace, &server.spec.hardware);
        let from = window.hears_from(session);
        sessions::hearing(session, from, last, |since| sightings.strangers(since))
    }
}

/// A client that can be printed.
#[derive(Clone)]
pub struct ClientHandle(pub Client);

impl std::fmt::Debug for ClientHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl From<Client> for ClientHandle {
    fn from(client: Client) -> Self {
        Self(client)
    }
}

impl Context {
    /// The API of the namespace, and the server with this identity as it is now.
    pub(crate) async fn machine(&self, machine_id: &str) -> Result<Option<(Api<Server>, Server)>, Error> {
        let servers: Api<Server> = Api::all(self.client.0.clone());
        let same = ListParams::default().fields(&format!("spec.machineId={machine_id}"));
        let found = servers.list(&same).await.map_err(|source| Error::Read {
            kind: "Server with the machine id",
            name: machine_id.to_owned(),
            source,
        })?;
        let server = found.items.into_iter().next();
        Ok(server.map(|server| (self.api(&server.namespace().unwrap_or_default()), server)))
    }

    /// The API of the namespace, and the server of this machine as it is now.
    pub(crate) async fn server_of(
        &self,
        machine: &MachineFacts,
    ) -> Result<Option<(Api<Server>, Server)>, Error> {
        let api = self.api(&machine.namespace);
        let live = read(&api, &machine.name).await?;
        Ok(live.map(|server| (api, server)))
    }

    fn api(&self, namespace: &str) -> Api<Server> {
        Api::namespaced(self.client.0.clone(), namespace)
    }

    /// Leaves evidence of what a session did or refused, under the machine's name.
    pub(crate) fn record(&self, server: &Server, peer: Option<IpAddr>, text: String) {
        let event = session_event(peer, text);
        self.events
            .send_for(&server.spec.hardware, Timestamp::now(), event);
    }

    /// Leaves evidence of what a peer that is not the machine asked for.
    pub(crate) fn record_about(&self, server: &Server, peer: &Peer, text: String) {
        let event = session_event(Some(peer.address()), text);
        let hardware = &server.spec.hardware;
        self.events.send_about(hardware, Timestamp::now(), event);
    }

    /// Leaves evidence of a call that is about no machine.
    pub(crate) fn record_of_peer(&self, peer: &Peer, text: String) {
        let target = peer.target().map(AsRef::as_ref);
        let event = session_event(Some(peer.address()), text);
        self.events.send(target, Timestamp::now(), event);
    }
}

/// The server as it is now.
pub(crate) async fn read(api: &Api<Server>, name: &str) -> Result<Option<Server>, Error> {
    let failed = |source| Error::Read {
        kind: "Server",
        name: name.to_owned(),
        source,
    };
    api.get_opt(name).await.map_err(failed)
}

fn session_event(peer: Option<IpAddr>, text: String) -> BootEvent {
    BootEvent {
        kind: BootEventKind::Session,
        mac: None,
        peer: peer.map(|address| address.to_string()),
        text,
    }
}
