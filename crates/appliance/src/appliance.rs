//! The order of starting and ending: directory and keys, databases, API, listeners, controllers; and back.

use std::net::SocketAddr;
use std::sync::Arc;

use boot_script::{EventSender, ViewHandle};
use jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use pki::ClientCertificates;
use resources::gantry::Release;
use rustls::time_provider::DefaultTimeProvider;
use tokio_util::sync::CancellationToken;

use crate::address::BoundAddress;
use crate::boot_services::{self, Site};
use crate::error::Error;
use crate::foundation::Foundation;
use crate::listener::Listener;
use crate::parts::Parts;
use crate::renewal::{self, AdminFile, Serving};
use crate::settings::Settings;
use crate::tasks::Tasks;
use crate::{controllers, gates, metrics, open_files, upkeep};

/// Field manager of the objects that the appliance itself writes.
const MANAGER: &str = "gantry-appliance";
/// Boot events that wait to be written before services drop them.
const EVENTS: usize = 4096;

/// Runs the appliance until `cancel`; `ready` hears where everything listens once it does. `planned` are the built-in
/// Releases, each for as long as the parts folder has none of that name with digests.
pub async fn run(
    settings: Settings,
    planned: Vec<Release>,
    cancel: CancellationToken,
    ready: impl FnOnce(&[Listener]) + Send,
) -> Result<(), Error> {
    open_files::raise();
    metrics::start();
    let foundation = Foundation::open(settings).await?;
    let mut tasks = Tasks::new(cancel);
    let mut bound = None;
    let result = match start(&foundation, &planned, &mut tasks, &mut bound).await {
        Ok(listeners) => {
            ready(&listeners);
            tasks.watch().await
        }
        Err(error) => Err(error),
    };
    tasks.end().await;
    if let Some(bound) = bound {
        bound.release().await;
    }
    foundation.close().await;
    result
}

/// Order: the API first, because everything stands on it; then what answers machines; then what acts by itself.
async fn start(
    foundation: &Foundation,
    planned: &[Release],
    tasks: &mut Tasks,
    bound: &mut Option<BoundAddress>,
) -> Result<Vec<Listener>, Error> {
    let (events, queue) = EventSender::channel(EVENTS);
    tasks.spawn_infallible(
        "boot events",
        netboot::record_events(queue, foundation.records.clone(), tasks.cancel()),
    );
    let mut listeners = vec![serve_api(foundation, &events, tasks).await?];
    let built = foundation.parts.as_ref().map_or(&[][..], Parts::releases);
    let is_built = |planned: &&Release| {
        built
            .iter()
            .any(|known| known.metadata.name == planned.metadata.name)
    };
    for release in built
        .iter()
        .chain(planned.iter().filter(|planned| !is_built(planned)))
    {
        apply_release(foundation, release).await?;
    }
    let settings = &foundation.settings;
    let site = settings.interface.clone().zip(settings.address);
    let site = site.map(|(interface, address)| Site { interface, address });

    tasks.spawn_infallible(
        "counts of boot events",
        events.clone().count_held_back(tasks.cancel()),
    );
    let databases = vec![
        ("state.db", foundation.api.database().file().clone()),
        ("records.db", foundation.records.file().clone()),
    ];
    let data = foundation.data().to_owned();
    tasks.spawn_infallible("upkeep", upkeep::run(databases, data, tasks.cancel()));
    tasks.spawn_infallible("metrics", telemetry::keep_metrics(tasks.cancel()));
    let view = ViewHandle::new();
    tasks.spawn(
        "view",
        boot_script::follow(foundation.api.controller_client(), view.clone(), tasks.cancel()),
    );
    if let Some(site) = &site {
        *bound = Some(boot_services::start(foundation, site, &view, &events, tasks, &mut listeners).await?);
    }
    controllers::start(foundation, site.as_ref(), &view, &events, tasks, &mut listeners).await?;
    listeners.push(Listener {
        what: "admin kubeconfig",
        place: foundation.kubeconfig.display().to_string(),
    });
    Ok(listeners)
}

async fn serve_api(
    foundation: &Foundation,
    events: &EventSender,
    tasks: &mut Tasks,
) -> Result<Listener, Error> {
    let address = foundation.settings.api_listen;
    let failed = |source| Error::Listen {
        what: "the Kubernetes API",
        address,
        key: "apiListen",
        source,
    };
    let listener = listeners::bind(address).map_err(failed)?;
    let bound: SocketAddr = listener.local_addr().map_err(failed)?;
    let keys_failed = |source| Error::Keys {
        path: foundation.settings.key_dir.clone(),
        source,
    };
    let now = Timestamp::now();
    let (serving, validity) = Serving::new(foundation.ca.clone(), bound.ip(), now).map_err(keys_failed)?;
    let time = Arc::new(DefaultTimeProvider);
    let certificate = serving.certificate();
    let tls = pki::server_config(&foundation.ca, certificate, ClientCertificates::Optional, time);
    let tls = Arc::new(tls.map_err(keys_failed)?);
    let gate = gates::for_api(apiserver::SHARES, events);
    let router = foundation.api.router();
    tasks.spawn_infallible(
        "Kubernetes API",
        apiserver::serve_tls(listener, tls, gate, router, tasks.cancel()),
    );
    renewal::spawn("certificate of the API", validity, tasks, move |now| {
        serving.renew(now)
    });
    let kubeconfig = AdminFile {
        ca: foundation.ca.clone(),
        path: foundation.kubeconfig.clone(),
        api: bound,
        token: foundation.token.clone(),
    };
    let validity = kubeconfig.write(now)?;
    renewal::spawn("admin kubeconfig", validity, tasks, move |now| {
        kubeconfig.write(now)
    });
    Ok(Listener {
        what: "Kubernetes API",
        place: format!("https://{bound}"),
    })
}

async fn apply_release(foundation: &Foundation, release: &Release) -> Result<(), Error> {
    let name = release.metadata.name.clone().unwrap_or_default();
    let failed = |source| Error::Object {
        object: format!("Release {name}"),
        source: Box::new(source),
    };
    let api: Api<Release> = Api::all(foundation.api.client());
    let params = PatchParams::apply(MANAGER).force();
    api.patch(&name, &params, &Patch::Apply(release))
        .await
        .map(drop)
        .map_err(failed)
}
