//! Images that are imported and pulled.

use std::path::Path;
use std::time::Duration;

use driver::json;
use driver::v1::{EnsureImageRequest, ImageStatus, Phase, outcome};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tonic::Status;

use super::dockerd::Dockerd;
use super::process::{Driver, config, spec};
use super::registry::Registry;

async fn ensure_once(
    driver: &Driver,
    image: &str,
    source: &Value,
    sha256: &str,
) -> Result<ImageStatus, Status> {
    let request = EnsureImageRequest {
        scope: driver.scope(),
        image_ref: image.to_owned(),
        source: source.as_object().map(json::to_struct),
        sha256: sha256.to_owned(),
        ..EnsureImageRequest::default()
    };
    Ok(driver.machines().ensure_image(request).await?.into_inner())
}

pub(crate) async fn ensure(driver: &Driver, image: &str, source: &Value, sha256: &str) -> ImageStatus {
    for _ in 0..10_000 {
        let status = ensure_once(driver, image, source, sha256)
            .await
            .expect("the image comes to be");
        let outcome = status
            .outcome
            .as_ref()
            .and_then(|outcome| outcome.outcome.as_ref());
        if matches!(outcome, Some(outcome::Outcome::Settled(_))) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("image {image} does not come to be");
}

pub(crate) fn sha256(file: &Path) -> String {
    hex::encode(Sha256::digest(std::fs::read(file).expect("the file")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs dockerd: apt-get install docker.io"]
async fn images_are_imported_once() {
    let daemon = Dockerd::start();
    let archive = daemon.archive();
    let driver = Driver::start(&config(&daemon), vec![archive.clone()], None).await;
    let source = json!({"archive": archive});
    let digest = sha256(&archive);
    let first = ensure(&driver, "node", &source, &digest).await;
    assert_eq!(first.provider_image_id, format!("node:{}", &digest[..12]));
    let again = ensure(&driver, "node", &source, &digest).await;
    assert_eq!(again.provider_image_id, first.provider_image_id);
    let mut spec = spec();
    spec.image_ref = first.provider_image_id;
    assert_eq!(driver.create("prod-a", &spec).await.phase(), Phase::Running);
    driver.delete("prod-a").await;

    let wrong = ensure(&driver, "node", &source, &"0".repeat(64)).await;
    assert_eq!(wrong.terminal.expect("another digest").field, "/sha256");
    let hidden = json!({"archive": "/root/no-such.tar"});
    let hidden = ensure(&driver, "node", &hidden, &"1".repeat(64)).await;
    assert_eq!(hidden.terminal.expect("no such file").field, "/source/archive");
    let images = daemon.call("GET", "/images/json?all=1", None).expect(200).json();
    let tags = images
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|image| image["RepoTags"].as_array());
    let tags: Vec<&Value> = tags
        .flatten()
        .filter(|tag| tag.as_str().is_some_and(|tag| tag.starts_with("node:")))
        .collect();
    assert_eq!(tags.len(), 1, "{images}");
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs dockerd: apt-get install docker.io"]
async fn images_are_pulled() {
    let daemon = Dockerd::start();
    let registry = Registry::start(&daemon).await;
    let mut config = config(&daemon);
    config["imagePolicy"] = json!("pull");
    let driver = Driver::start(&config, Vec::new(), None).await;
    let mut spec = spec();
    spec.image_ref = registry.image();
    let status = driver.create("prod-a", &spec).await;
    assert_eq!(status.phase(), Phase::Running);
    driver.delete("prod-a").await;
    let pulled = ensure(&driver, &registry.image(), &json!({}), &registry.digest()).await;
    assert!(
        pulled.provider_image_id.ends_with(&registry.digest()),
        "{pulled:?}"
    );

    spec.image_ref = registry.image().replace("node", "no-such");
    let mut refused = driver.create_once("prod-b", &spec).await;
    while refused.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        refused = driver.create_once("prod-b", &spec).await;
    }
    let refused = refused.expect_err("the registry has no such image");
    assert!(refused.message().contains("Docker daemon says"), "{refused:?}");
    driver.stop().await;
}
