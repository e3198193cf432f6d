//! The controllers and the services that agents call, all on the in-process client.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use agent_protocol::Leases;
use agent_protocol::v1::sessions_server::SessionsServer;
use agent_protocol::v1::workflows_server::WorkflowsServer;
use artifacts::{Fetcher, ImageStore, Measure};
use boot_script::{BootView, EventSender, ViewHandle};
use clusters::{Coordinator, KubeWorkloads, TlsCertificates};
use disk_image::ImageReader;
use driver_metal::MetalDriver;
use etcd::TlsEtcdConnector;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use listeners::Gate;
use node_config::Profile;
use pki::ClientCertificates;
use resources::ImageManifest;
use rustls::time_provider::DefaultTimeProvider;

use crate::address::InterfaceProbe;
use crate::agent_endpoint::{self, Endpoint};
use crate::boot_services::{self, Site};
use crate::callers::Callers;
use crate::charts::Charts;
use crate::error::Error;
use crate::etcd_drills;
use crate::foundation::Foundation;
use crate::gates;
use crate::listener::Listener;
use crate::plugin_drivers::PluginDrivers;
use crate::renewal::{self, Serving};
use crate::snapshot_copies;
use crate::tasks::Tasks;

/// Deadlines are so many times longer where machines are emulated.
const LAB_PATIENCE: u32 = 3;

/// Starts the controllers, and the agent endpoint when there is a network for machines.
pub(crate) async fn start(
    foundation: &Foundation,
    site: Option<&Site>,
    view: &Arc<ViewHandle>,
    events: &EventSender,
    tasks: &mut Tasks,
    listeners: &mut Vec<Listener>,
) -> Result<(), Error> {
    let client = foundation.api.controller_client();
    let settings = &foundation.settings;
    let power = power::PowerOptions::default();
    let mut begin = Begin { view, tasks };
    let cancel = begin.tasks.cancel();
    begin.controller("power", power::run(client.clone(), power, cancel.clone()));

    let store = ImageStore::open(foundation.data())
        .await
        .map_err(Error::part("image store"))?;
    let fetcher = Fetcher::new(store, measure());
    let images = artifacts::run_images(client.clone(), fetcher, cancel.clone());
    begin.controller("images", images);

    let leases = Arc::new(Leases::default());
    let address = site.map(|site| site.address);
    let servers = servers::build(servers::Context {
        client: client.clone().into(),
        ca: foundation.ca.clone(),
        view: view.clone(),
        leases: leases.clone(),
        endpoints: address
            .iter()
            .map(|address| format!("https://{address}:{}", settings.agent_port))
            .collect(),
        events: events.clone(),
        files: foundation.sealed_files.clone(),
        allowances: servers::Allowances {
            post_minutes: settings.post_minutes,
            manual_minutes: settings.manual_minutes,
        },
        control_plane_proof: settings.control_plane_proof,
    });
    begin.controller("servers", servers.controller.run(cancel.clone()));

    let records = foundation.records.clone();
    let workflows = workflow::build(workflow::Context {
        client: client.clone(),
        leases,
        records,
    });
    begin.controller("workflows", workflows.controller.run(cancel.clone()));
    let clusters = coordinator(foundation, &client, site)?;
    begin.controller("clusters", clusters::run_coordinator(clusters, cancel.clone()));

    let plugins = PluginDrivers::open(settings)?;
    let plugins = plugins.run(client.clone(), foundation.records.clone(), cancel.clone());
    begin.controller("plugin drivers", plugins);

    if let Some(address) = address {
        let driver = metal_driver(foundation, &client, address);
        begin.controller("bare-metal driver", driver.run(cancel));
        let services = tonic::service::Routes::new(SessionsServer::new(servers.sessions));
        let services = services.add_service(WorkflowsServer::new(workflows.workflows));
        let router = services.prepare().into_axum_router().merge(servers.first_boot);
        let gate = gates::for_machines("agent endpoint", agent_endpoint::SHARES, view, events);
        let callers = Callers {
            view: view.clone(),
            events: events.clone(),
        };
        serve_agents(foundation, address, (router, gate, callers), tasks, listeners).await?;
    }
    Ok(())
}

/// Starts controllers.
struct Begin<'a> {
    view: &'a Arc<ViewHandle>,
    tasks: &'a mut Tasks,
}

impl Begin<'_> {
    /// Starts one when the boot services know all machines. Controllers look at every object when they begin, and
    /// machines that boot should not wait for that.
    fn controller(&mut self, name: &'static str, controller: impl Future<Output = ()> + Send + 'static) {
        let (view, cancel) = (self.view.clone(), self.tasks.cancel());
        self.tasks.spawn_infallible(name, async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = view.wait(BootView::loaded) => controller.await,
            }
        });
    }
}

fn coordinator(foundation: &Foundation, client: &Client, site: Option<&Site>) -> Result<Coordinator, Error> {
    let profile = if foundation.settings.lab_timings {
        Profile::Lab
    } else {
        Profile::Standard
    };
    let settings = &foundation.settings;
    let hours = i64::from(settings.etcd_snapshot_hours);
    let days = i64::from(settings.renew_certificates_days);
    let drill_days = i64::from(settings.etcd_drill_days);
    let options = clusters::Options {
        policy: clusters::Policy {
            renew_before: SignedDuration::from_hours(24 * days),
            ..clusters::Policy::default()
        },
        certificates: Some(Arc::new(TlsCertificates)),
        profile,
        appliance: site.map(|site| site.address),
        probe: site.map(|site| Arc::new(InterfaceProbe(site.interface.clone())) as _),
        files: Some(foundation.sealed_files.clone()),
        snapshot_every: (hours > 0).then(|| SignedDuration::from_hours(hours)),
        snapshots_kept: usize::try_from(settings.etcd_snapshots_kept).unwrap_or(usize::MAX),
        copies: snapshot_copies::open(&settings.snapshot_copies, foundation.data(), client)?,
        charts: Some(Arc::new(Charts::new(foundation.parts.as_ref()))),
        drills: Some(etcd_drills::open(settings, foundation.parts.as_ref())),
        drill_every: (drill_days > 0).then(|| SignedDuration::from_hours(24 * drill_days)),
        ..clusters::Options::default()
    };
    let (workloads, etcd) = (Box::new(KubeWorkloads), Box::new(TlsEtcdConnector));
    Ok(Coordinator::new(client.clone(), options, workloads, etcd))
}

fn metal_driver(foundation: &Foundation, client: &Client, address: Ipv4Addr) -> MetalDriver {
    let settings = driver_metal::Settings {
        appliance: address,
        http_port: foundation.settings.http_port,
        patience: if foundation.settings.lab_timings {
            LAB_PATIENCE
        } else {
            1
        },
        cooldown: SignedDuration::from_mins(foundation.settings.server_cooldown_minutes.into()),
        wipe: foundation.settings.wipe_released_servers,
        keep_failed: foundation.settings.keep_failed_servers,
    };
    MetalDriver::new(client.clone(), settings)
}

async fn serve_agents(
    foundation: &Foundation,
    address: Ipv4Addr,
    (router, gate, callers): (axum::Router, Gate, Callers),
    tasks: &mut Tasks,
    listeners: &mut Vec<Listener>,
) -> Result<(), Error> {
    let port = foundation.settings.agent_port;
    let listener = boot_services::bind("the agent endpoint", address, port, "agentPort")?;
    let serving = Serving::new(foundation.ca.clone(), address.into(), Timestamp::now());
    let (serving, validity) = serving.map_err(Error::part("agent endpoint"))?;
    let time = Arc::new(DefaultTimeProvider);
    let certificate = serving.certificate();
    let tls = pki::server_config(&foundation.ca, certificate, ClientCertificates::Optional, time);
    let endpoint = Endpoint {
        tls: Arc::new(tls.map_err(Error::part("agent endpoint"))?),
        site: Arc::from(foundation.ca.site()),
        gate,
        callers,
        router,
    };
    renewal::spawn("certificate of the agent endpoint", validity, tasks, move |now| {
        serving.renew(now)
    });
    tasks.spawn_infallible(
        "agent endpoint",
        agent_endpoint::run(listener, endpoint, tasks.cancel()),
    );
    let place = format!("https://{}", SocketAddr::from((address, port)));
    listeners.push(Listener {
        what: "agent endpoint",
        place,
    });
    Ok(())
}

/// What an image holds: as its maker says, else decoded and measured as the agent will decode it.
fn measure() -> Measure {
    Arc::new(
        |path: &Path,
         name: &str,
         published: Option<&ImageManifest>,
         heard: &mut dyn FnMut(u64)|
         -> Result<ImageManifest, artifacts::MeasureError> {
            let reader = ImageReader::open(std::fs::File::open(path)?)?;
            Ok(match published {
                Some(published) => disk_image::confirm(reader, std::fs::File::open(path)?, published, heard)?,
                None => disk_image::measure(reader, name, heard)?,
            })
        },
    )
}
