//! The shell around fetching: watches Images, fetches those that are not ready, writes their status.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::Controller;
use kube::runtime::controller::Action;
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};
use resources::gantry::{Image, ImageState, ImageStatus};
use resources::keys::MANAGER_ARTIFACTS;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::fetch::{Fetcher, Progress};
use crate::{Error, status};

/// How often a ready image is looked for in the store.
const WHEN_READY: Duration = Duration::from_secs(600);
/// Pause between two writes of the progress.
const PROGRESS: Duration = Duration::from_secs(2);

struct Context {
    client: Client,
    fetcher: Fetcher,
    cancel: CancellationToken,
}

/// Keeps every Image fetched until `cancel`.
pub async fn run_images(client: Client, fetcher: Fetcher, cancel: CancellationToken) {
    let images: Api<Image> = Api::all(client.clone());
    let context = Arc::new(Context {
        client,
        fetcher,
        cancel: cancel.clone(),
    });
    Controller::new(images, watcher::Config::default())
        .graceful_shutdown_on(cancel.cancelled_owned())
        .run(
            reconcile,
            |_, _, _| Action::requeue(Duration::from_secs(5)),
            context,
        )
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::warn!(error = %error, "image not reconciled");
            }
        })
        .await;
}

async fn reconcile(image: Arc<Image>, context: Arc<Context>) -> Result<Action, Error> {
    if image.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let before = image.status.clone().unwrap_or_default();
    let store = context.fetcher.store();
    match (before.state, &before.manifest) {
        (ImageState::Ready, Some(manifest)) if store.manifest(manifest.digest).await?.is_some() => {
            return Ok(Action::requeue(WHEN_READY));
        }
        // A failure stands for a while; the status write itself must not start the next try.
        (ImageState::Failed, _) if !due(&before, Timestamp::now()) => {
            return Ok(Action::requeue(status::AFTER_FAILURE.unsigned_abs()));
        }
        _ => {}
    }
    let api: Api<Image> = Api::namespaced(context.client.clone(), &image.namespace().unwrap_or_default());
    let name = image.name_any();
    let outcome = fetch(&image, &before, &api, &context).await;
    let now = Timestamp::now();
    let (after, next) = match outcome {
        Ok(manifest) => {
            tracing::info!(image = name, url = image.spec.url, "image ready");
            (status::ready(&manifest, now), WHEN_READY)
        }
        Err(Error::Stopped) => return Ok(Action::await_change()),
        Err(error) => {
            tracing::warn!(image = name, url = image.spec.url, error = %error, "image not fetched");
            let after = status::failed(&before, &error, now);
            let next = match after.state {
                ImageState::Failed => status::AFTER_FAILURE.unsigned_abs(),
                _ => status::RETRY.unsigned_abs(),
            };
            (after, next)
        }
    };
    write(&api, &name, &after).await?;
    Ok(Action::requeue(next))
}

fn due(before: &ImageStatus, now: Timestamp) -> bool {
    let wait = status::AFTER_FAILURE
        .unsigned_abs()
        .saturating_sub(Duration::from_secs(1));
    before
        .since
        .as_ref()
        .is_none_or(|since| now.duration_since(since.0).unsigned_abs() >= wait)
}

async fn fetch(
    image: &Image,
    before: &ImageStatus,
    api: &Api<Image>,
    context: &Context,
) -> Result<resources::ImageManifest, Error> {
    let progress = Progress::default();
    let name = image.name_any();
    let work = context
        .fetcher
        .fetch(&image.spec.url, image.spec.digest, &progress);
    tokio::pin!(work);
    let mut tick = tokio::time::interval(PROGRESS);
    let mut shown = None;
    loop {
        tokio::select! {
            result = &mut work => return result,
            () = context.cancel.cancelled() => return Err(Error::Stopped),
            _ = tick.tick() => {
                let percent = progress.percent();
                if shown != Some(percent) {
                    write(api, &name, &status::fetching(before, percent, Timestamp::now())).await?;
                    shown = Some(percent);
                }
            }
        }
    }
}

async fn write(api: &Api<Image>, name: &str, status: &ImageStatus) -> Result<(), Error> {
    let patch = json!({
        "apiVersion": Image::api_version(&()),
        "kind": Image::kind(&()),
        "metadata": { "name": name },
        "status": status,
    });
    let manager = PatchParams::apply(MANAGER_ARTIFACTS).force();
    match api.patch_status(name, &manager, &Patch::Apply(&patch)).await {
        // Deleted meanwhile: nobody wants to know any more.
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
        Err(error) => Err(Error::Api(error)),
        Ok(_) => Ok(()),
    }
}
