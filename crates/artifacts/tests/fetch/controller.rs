//! The controller of Images on the embedded API.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use artifacts::run_images;
use axum::Router;
use axum::body::Body;
use axum::http::{Response, StatusCode};
use resources::gantry::{Image, ImageState};
use resources::keys::FACT_DAMAGED_IMAGE;
use resources::tinkerbell::Workflow;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{content, digest, fetcher};

struct Site {
    api: sim::Site,
    cancel: CancellationToken,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl Site {
    async fn start() -> Self {
        let api = sim::Site::start("default").await;
        let cancel = CancellationToken::new();
        let fetcher = fetcher(api.scratch()).await;
        tokio::spawn(run_images(api.client(), fetcher, cancel.clone()));
        Self { api, cancel }
    }

    async fn image(&self, name: &str, url: &str) {
        let image = json!({
            "apiVersion": "gantry.dev/v1alpha1", "kind": "Image", "metadata": { "name": name }, "spec": { "url": url },
        });
        self.api.make::<Image>(image).await;
    }

    async fn ready(&self, name: &str) -> Image {
        let ready = |image: &Image| state(image) == Some(ImageState::Ready);
        self.api.when::<Image>(name, ready).await
    }

    fn stored(&self) -> PathBuf {
        let name = digest(&content()).hex();
        self.api.scratch().join("images/sha256").join(name)
    }
}

fn state(image: &Image) -> Option<ImageState> {
    image.status.as_ref().map(|status| status.state)
}

fn url(file: &Path) -> String {
    format!("file://{}", file.display())
}

/// Changes a byte of a file in its place.
fn damage(file: &Path) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::options().write(true).open(file).unwrap();
    file.write_all_at(b"?", 1000).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_an_agent_found_damaged_is_fetched_again() {
    let site = Site::start().await;
    let source = site.api.scratch().join("a.raw");
    std::fs::write(&source, content()).unwrap();
    site.image("a", &url(&source)).await;
    site.ready("a").await;
    damage(&site.stored());
    assert_ne!(std::fs::read(site.stored()).unwrap(), content());

    let workflow = json!({
        "apiVersion": "tinkerbell.org/v1alpha1", "kind": "Workflow", "metadata": { "name": "w" }, "spec": {},
    });
    site.api.make::<Workflow>(workflow).await;
    let fact = json!({ "status": { "facts": { FACT_DAMAGED_IMAGE: digest(&content()).to_string() } } });
    site.api.merge_status::<Workflow>("w", fact).await;
    let started = Instant::now();
    while std::fs::read(site.stored()).ok() != Some(content()) {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "the damaged file stays"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    site.ready("a").await;
    let aside = site
        .api
        .scratch()
        .join("images/quarantine")
        .join(digest(&content()).hex());
    assert_ne!(std::fs::read(aside).unwrap(), content());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_breaks_off_is_not_asked_in_a_rush() {
    let site = Site::start().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    // The manifest and checksum beside the image are absent; the image ends in the middle.
    let broken = move |uri: axum::http::Uri| {
        let count = Arc::clone(&count);
        async move {
            if uri.path() != "/a.raw" {
                return Response::builder()
                    .status(StatusCode::NOT_FOUND)
                    .body(Body::empty())
                    .unwrap();
            }
            count.fetch_add(1, Ordering::SeqCst);
            let cut = futures::stream::iter([Ok(content()), Err(std::io::Error::other("cut"))]);
            Response::new(Body::from_stream(cut))
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(broken)).await });

    site.image("broken", &format!("http://{address}/a.raw")).await;
    let waits = |image: &Image| {
        let status = image.status.as_ref();
        let reason = status.and_then(|status| status.reason.as_deref());
        reason.is_some_and(|reason| reason.contains("trying again in 1"))
    };
    site.api.when::<Image>("broken", waits).await;
    // Each status write and each change wakes the controller; other images go through meanwhile.
    let source = site.api.scratch().join("a.raw");
    std::fs::write(&source, content()).unwrap();
    for round in 0..5 {
        let change = json!({ "metadata": { "labels": { "round": round.to_string() } } });
        site.api.merge::<Image>("broken", change).await;
        let name = format!("other-{round}");
        site.image(&name, &url(&source)).await;
        site.ready(&name).await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
