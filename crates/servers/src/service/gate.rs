//! What is checked of a claimant before its session changes: a claim that is refused here leaves a record and an
//! Event, and nothing else, so the machine itself loses nothing by it.

use agent_protocol::v1::ClaimRequest;
use boot_script::{BootTarget, Peer, boots_our_installer};
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::Api;
use resources::Mac;
use resources::gantry::{BootSession, Inventory, Server};
use resources::keys::{ACCEPT_MAINBOARD, ALLOW_CLAIM_WITHOUT_BOOT};
use resources::tinkerbell::{BootMode, Workflow};
use tonic::Status;

use super::{RETRY, SessionsService, failed};
use crate::alarms::Alarm;
use crate::error::{Error, place};
use crate::inventory::inventory;
use crate::sessions::{ASK_AGAIN, Claimant, Doubt, Installer, doubt, is_control_plane};

/// A machine that runs before the appliance knows of its start.
const TOO_EARLY: &str = "the machine has not started, as far as its power and its packets show";

/// What a claimant shows of itself.
pub(super) struct Shown {
    pub(super) boot_mac: Option<Mac>,
    pub(super) inventory: Option<Inventory>,
}

/// Something that speaks against a claim.
pub(super) struct Objection {
    pub(super) alarm: Alarm,
    /// For record and Event.
    pub(super) reason: String,
    /// For the claimant, who may be anybody: nothing that it does not know.
    pub(super) answer: String,
    /// Seconds after which the claimant may ask again; nothing where the claim is granted all the same.
    pub(super) refused_for: Option<u32>,
}

impl Shown {
    pub(super) fn of(request: &ClaimRequest) -> Self {
        Self {
            boot_mac: request.boot_mac.parse().ok(),
            inventory: request.inventory.as_ref().map(inventory),
        }
    }
}

/// Whether the claimant is the machine, by its address and by what it shows.
pub(super) fn identity(
    server: &Server,
    machine: &BootTarget,
    peer: &Peer,
    shown: &Shown,
) -> Result<(), Objection> {
    if !peer.is(&machine.machine) {
        return Err(Objection {
            alarm: Alarm::ForeignClaim,
            reason: foreign(machine, peer),
            answer: format!(
                "{} is not the address of the machine that is armed with this boot id; its Server's Events say more",
                peer.address()
            ),
            refused_for: Some(RETRY),
        });
    }
    let macs: Vec<Mac> = machine.machine.macs().collect();
    let claimant = Claimant {
        server: &server.name_any(),
        macs: &macs,
        known: server
            .status
            .as_ref()
            .and_then(|status| status.inventory.as_ref()),
        accepted: server.annotations().get(ACCEPT_MAINBOARD).map(String::as_str),
        boot_mac: shown.boot_mac,
        shown: shown.inventory.as_ref(),
    };
    claimant.fit().map_err(|misfit| Objection {
        alarm: Alarm::MisfitClaim,
        reason: format!("it does not fit this machine: {misfit}"),
        answer: format!("this does not fit the machine: {}", misfit.answer()),
        refused_for: Some(RETRY),
    })
}

fn foreign(machine: &BootTarget, peer: &Peer) -> String {
    let reserved = machine.machine.reserved_addresses();
    let known = match reserved.as_slice() {
        [] => "the Hardware reserves no address: give its interface dhcp.ip.address".to_owned(),
        some => {
            let texts: Vec<String> = some.iter().map(ToString::to_string).collect();
            format!(
                "the Hardware reserves {}; look who has the other address, or correct the Hardware",
                texts.join(", ")
            )
        }
    };
    let whose = peer
        .target()
        .map_or_else(String::new, |other| format!(" ({})", other.name()));
    format!("it comes from {}{whose}, but {known}", peer.address())
}

impl SessionsService {
    /// Whether the machine of an armed session has started, and booted the installer.
    pub(super) async fn start(
        &self,
        server: &Server,
        session: &BootSession,
        peer: &Peer,
    ) -> Result<Option<Objection>, Status> {
        let context = &self.context;
        let namespace = server.namespace().unwrap_or_default();
        let workflow = match &server.spec.attempt {
            None => None,
            Some(attempt) => {
                self.read::<Workflow>(&namespace, &attempt.workflow, server)
                    .await?
            }
        };
        let now = Timestamp::now();
        let window = context.window(server, workflow.as_ref());
        let session = context.heard(server, session, window);
        let known = session.started_at.as_ref().map(|at| at.0);
        let started = known.or_else(|| window.start(&session, workflow.as_ref(), false, now));
        let powered = window.ours || session.last_packet.is_none();
        let sightings = context.events.sightings();
        let installer = if comes_from_us(peer, workflow.as_ref()) {
            Installer::Fetched {
                at: sightings.installer_fetched(&namespace, &server.spec.hardware),
                since: sightings.since(),
            }
        } else {
            Installer::NotOurs
        };
        Ok(match doubt(&session, started, powered, installer, now) {
            None => None,
            Some(Doubt::BeforeStart) => Some(Objection {
                alarm: Alarm::ClaimBeforeStart,
                reason: TOO_EARLY.to_owned(),
                answer: TOO_EARLY.to_owned(),
                refused_for: Some(ASK_AGAIN),
            }),
            Some(Doubt::WithoutBoot) => Some(without_boot(server, &session)),
        })
    }

    pub(super) async fn read<K>(
        &self,
        namespace: &str,
        name: &str,
        server: &Server,
    ) -> Result<Option<K>, Status>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.context.client.0.clone(), namespace);
        api.get_opt(name).await.map_err(|source| {
            failed(Error::Read {
                kind: "owner or Workflow",
                name: place(server),
                source,
            })
        })
    }
}

/// The objection to a claim whose machine has fetched no installer; it refuses the claim only of a control plane.
fn without_boot(server: &Server, session: &BootSession) -> Objection {
    let mut reason = "its address has fetched no kernel and initramfs since it was armed".to_owned();
    let attempt = session.attempt.to_string();
    let allowed = server.annotations().get(ALLOW_CLAIM_WITHOUT_BOOT) == Some(&attempt);
    let held = !allowed && is_control_plane(&server.spec);
    if held {
        reason.push_str(&format!(
            "; a control plane's machine waits for an operator: restart it, or, if you know that it is the machine, \
             kubectl annotate server {} --overwrite {ALLOW_CLAIM_WITHOUT_BOOT}={attempt}",
            server.name_any()
        ));
    }
    Objection {
        alarm: Alarm::ClaimWithoutBoot,
        answer: reason.clone(),
        reason,
        refused_for: held.then_some(RETRY),
    }
}

/// Whether kernel and initramfs of this machine come over our HTTP.
fn comes_from_us(peer: &Peer, workflow: Option<&Workflow>) -> bool {
    let options = workflow.and_then(|workflow| workflow.spec.boot_options.as_ref());
    let mode = options.and_then(|options| options.boot_mode);
    let iso = matches!(mode, Some(BootMode::Isoboot | BootMode::Iso));
    !iso && peer.target().is_some_and(|target| boots_our_installer(target))
}
