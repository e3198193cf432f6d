//! The shell around fetching: watches Images, fetches those that are not ready, writes their status.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::Controller;
use kube::runtime::controller::Action;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};
use resources::Digest;
use resources::gantry::{Image, ImageState, ImageStatus};
use resources::keys::MANAGER_ARTIFACTS;
use resources::tinkerbell::Workflow;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::doubts::Doubts;
use crate::fetch::{Fetcher, Progress};
use crate::retries::{Key, Retries};
use crate::{Error, status};

/// How often a ready image is looked for in the store.
const WHEN_READY: Duration = Duration::from_secs(600);
/// Pause between two writes of the progress.
const PROGRESS: Duration = Duration::from_secs(2);

struct Context {
    client: Client,
    fetcher: Fetcher,
    retries: Mutex<Retries>,
    doubts: Arc<Mutex<Doubts>>,
    cancel: CancellationToken,
}

/// Keeps every Image fetched until `cancel`, and looks again at one that an agent found damaged.
pub async fn run_images(client: Client, fetcher: Fetcher, cancel: CancellationToken) {
    let images: Api<Image> = Api::all(client.clone());
    let workflows: Api<Workflow> = Api::all(client.clone());
    let context = Arc::new(Context {
        client,
        fetcher,
        retries: Mutex::default(),
        doubts: Arc::default(),
        cancel: cancel.clone(),
    });
    let controller = Controller::new(images, watcher::Config::default());
    let (known, doubts) = (controller.store(), Arc::clone(&context.doubts));
    controller
        .watches(workflows, watcher::Config::default(), move |workflow| {
            doubted(&doubts, &known, &workflow)
        })
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

/// The images that the Workflow's agent found damaged.
fn doubted(doubts: &Mutex<Doubts>, known: &Store<Image>, workflow: &Workflow) -> Vec<ObjectRef<Image>> {
    let heard = doubts
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .hear(workflow);
    let is_it = |image: &Image| {
        let manifest = image.status.as_ref().and_then(|status| status.manifest.as_ref());
        manifest.is_some_and(|manifest| Some(manifest.digest) == heard)
    };
    match heard {
        None => Vec::new(),
        Some(_) => known
            .state()
            .iter()
            .filter(|image| is_it(image))
            .map(|image| ObjectRef::from_obj(&**image))
            .collect(),
    }
}

/// Whether the store has the image. One in doubt is hashed, and set aside when it is no longer what it was.
async fn is_there(image: &str, digest: Digest, context: &Context) -> Result<bool, Error> {
    let store = context.fetcher.store();
    if store.manifest(digest).await?.is_none() {
        return Ok(false);
    }
    let in_doubt = context
        .doubts
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take(digest);
    if !in_doubt {
        return Ok(true);
    }
    if store.is_intact(digest).await? {
        tracing::warn!(
            image,
            "an agent got another image than the one kept here, which is right"
        );
        return Ok(true);
    }
    let aside = store.discard(digest).await?;
    tracing::warn!(
        image,
        set_aside = %aside.display(),
        "the image kept here is damaged; fetching it again"
    );
    Ok(false)
}

async fn reconcile(image: Arc<Image>, context: Arc<Context>) -> Result<Action, Error> {
    if image.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let before = image.status.clone().unwrap_or_default();
    let name = image.name_any();
    let key: Key = (
        image.uid().unwrap_or_default(),
        image.meta().generation.unwrap_or_default(),
    );
    match (before.state, &before.manifest) {
        (ImageState::Ready, Some(manifest)) if is_there(&name, manifest.digest, &context).await? => {
            return Ok(Action::requeue(WHEN_READY));
        }
        // A failure stands for a while; the status write itself must not start the next try.
        (ImageState::Failed, _) if !due(&before, Timestamp::now()) => {
            return Ok(Action::requeue(status::AFTER_FAILURE.unsigned_abs()));
        }
        _ => {}
    }
    if let Some(wait) = context.retries().wait(&key, Timestamp::now()) {
        return Ok(Action::requeue(wait.unsigned_abs()));
    }
    let api: Api<Image> = Api::namespaced(context.client.clone(), &image.namespace().unwrap_or_default());
    let outcome = fetch(&image, &before, &api, &context).await;
    let now = Timestamp::now();
    let (after, next) = match outcome {
        Ok(manifest) => {
            context.retries().forget(&key);
            tracing::info!(image = name, url = image.spec.url, "image ready");
            (status::ready(&manifest, now), WHEN_READY)
        }
        Err(Error::Stopped) => return Ok(Action::await_change()),
        Err(error) => {
            tracing::warn!(image = name, url = image.spec.url, error = %error, "image not fetched");
            let pause = context.retries().failed(key.clone(), now, rand::random());
            let after = status::failed(&before, &error, pause, now);
            if after.state == ImageState::Failed {
                context.retries().forget(&key);
                (after, status::AFTER_FAILURE.unsigned_abs())
            } else {
                (after, pause.unsigned_abs())
            }
        }
    };
    write(&api, &name, &after).await?;
    Ok(Action::requeue(next))
}

impl Context {
    fn retries(&self) -> MutexGuard<'_, Retries> {
        self.retries.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
