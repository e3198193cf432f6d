//! A registry with one image, in the daemon's network.

use std::fs::File;
use std::net::TcpListener;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use nix::sched::{CloneFlags, setns};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::task::AbortHandle;

use super::dockerd::Dockerd;

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// The parts of an image.
struct Image {
    manifest: Vec<u8>,
    blobs: Vec<Vec<u8>>,
}

/// A registry that runs.
pub(crate) struct Registry {
    port: u16,
    image: Arc<Image>,
    server: AbortHandle,
}

impl Registry {
    pub(crate) async fn start(daemon: &Dockerd) -> Self {
        let listener = listener(daemon);
        let port = listener.local_addr().expect("an address").port();
        listener.set_nonblocking(true).expect("a socket for tokio");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a socket for tokio");
        let image = Arc::new(image(daemon));
        let router = Router::new()
            .route("/v2/", get(|| async { "{}" }))
            .route("/v2/node/manifests/{reference}", get(manifest))
            .route("/v2/node/blobs/{digest}", get(blob))
            .with_state(image.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            port,
            image,
            server: server.abort_handle(),
        }
    }

    pub(crate) fn image(&self) -> String {
        format!("127.0.0.1:{}/node:v1", self.port)
    }

    /// Of the manifest.
    pub(crate) fn digest(&self) -> String {
        hex::encode(Sha256::digest(&self.image.manifest))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A socket in the daemon's network: the thread that makes it goes there, and ends.
fn listener(daemon: &Dockerd) -> TcpListener {
    let network = format!("/proc/{}/ns/net", daemon.pid());
    let made = std::thread::spawn(move || {
        setns(
            File::open(network).expect("the daemon's network"),
            CloneFlags::CLONE_NEWNET,
        )
        .expect("root");
        TcpListener::bind(("127.0.0.1", 0)).expect("a socket")
    });
    made.join().expect("the thread ends")
}

fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn image(daemon: &Dockerd) -> Image {
    let layer = std::fs::read(daemon.archive()).expect("the archive");
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/sbin/init"]},
        "rootfs": {"type": "layers", "diff_ids": [sha256(&layer)]},
    });
    let config = config.to_string().into_bytes();
    let part =
        |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "size": bytes.len(), "digest": sha256(bytes)});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": part("application/vnd.docker.container.image.v1+json", &config),
        "layers": [part("application/vnd.docker.image.rootfs.diff.tar", &layer)],
    });
    Image {
        manifest: manifest.to_string().into_bytes(),
        blobs: vec![config, layer],
    }
}

async fn manifest(State(image): State<Arc<Image>>) -> Response {
    let digest = sha256(&image.manifest);
    let headers = [
        (header::CONTENT_TYPE.as_str(), MANIFEST),
        ("docker-content-digest", digest.as_str()),
    ];
    (headers, image.manifest.clone()).into_response()
}

async fn blob(State(image): State<Arc<Image>>, Path(digest): Path<String>) -> Response {
    match image.blobs.iter().find(|blob| sha256(blob) == digest) {
        Some(blob) => blob.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
