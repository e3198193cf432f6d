//! Fetching over real HTTP on loopback and from files: resume, sidecars, wrong digests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod controller;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use artifacts::{Error, Fetcher, ImageStore, Measure, Progress};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::get;
use resources::{Compression, Digest, ImageManifest};
use sha2::{Digest as _, Sha256};

fn content() -> Vec<u8> {
    (0..300_000_u32).map(|n| (n % 251) as u8).collect()
}

fn digest(data: &[u8]) -> Digest {
    Digest::new(Sha256::digest(data).into())
}

/// Stands in for `disk-image`: the raw disk is the file. What starts with `X` can't boot.
fn measure() -> Measure {
    Arc::new(|path, name, _, progress| {
        let data = std::fs::read(path)?;
        if data.first() == Some(&b'X') {
            return Err("the image has no boot loader".into());
        }
        progress(data.len() as u64);
        Ok(ImageManifest {
            name: name.to_owned(),
            compression: Compression::Raw,
            raw_size: data.len() as u64,
            raw_digest: digest(&data),
            size: data.len() as u64,
            digest: digest(&data),
            root_partition: None,
            esp_partition: None,
            os_family: None,
            kubernetes_version: None,
            cni: None,
            guid_references: None,
            chunks: Vec::new(),
        })
    })
}

async fn fetcher(directory: &Path) -> Fetcher {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Fetcher::new(ImageStore::open(directory).await.unwrap(), measure())
}

/// Serves the content; the first answer breaks off in the middle. Counts bytes asked for.
async fn serve(asked: Arc<AtomicUsize>) -> String {
    let calls = Arc::new(AtomicUsize::new(0));
    let handler = move |headers: HeaderMap| {
        let (asked, call) = (Arc::clone(&asked), calls.fetch_add(1, Ordering::SeqCst));
        async move {
            let all = content();
            let range = headers.get("range").and_then(|value| value.to_str().ok());
            let start: usize = range.map_or(0, |range| {
                range
                    .trim_start_matches("bytes=")
                    .trim_end_matches('-')
                    .parse()
                    .unwrap()
            });
            assert!(start == 0 || headers.get("if-range").unwrap() == "\"v1\"");
            asked.fetch_add(all.len() - start, Ordering::SeqCst);
            let first = if call == 0 { &all[..100_000] } else { &all[start..] };
            let pieces = futures::stream::iter([Ok::<_, std::io::Error>(first.to_vec())]);
            // The server flushes when there is nothing to send for a moment; then the connection breaks.
            let cut = futures::stream::once(async move {
                if call != 0 {
                    return Ok(Vec::new());
                }
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                Err(std::io::Error::other("cut"))
            });
            let pieces = futures::StreamExt::chain(pieces, cut);
            let answer = Response::builder()
                .header("etag", "\"v1\"")
                .header("content-length", all.len() - start);
            let answer = if start == 0 {
                answer
            } else {
                let range = format!("bytes {start}-{}/{}", all.len() - 1, all.len());
                answer
                    .status(StatusCode::PARTIAL_CONTENT)
                    .header("content-range", range)
            };
            answer.body(Body::from_stream(pieces)).unwrap()
        }
    };
    let router = Router::new().route("/disk.raw", get(handler));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/disk.raw")
}

#[tokio::test]
async fn a_broken_download_is_continued() {
    let directory = tempfile::tempdir().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let url = serve(Arc::clone(&asked)).await;
    let fetcher = fetcher(directory.path()).await;
    let progress = Progress::default();
    let error = fetcher.fetch(&url, None, &progress).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    let manifest = fetcher
        .fetch(&url, Some(digest(&content())), &progress)
        .await
        .unwrap();
    assert_eq!(
        std::fs::read(fetcher.store().path(manifest.digest)).unwrap(),
        content()
    );
    let total = asked.load(Ordering::SeqCst);
    assert!(total < 2 * content().len(), "{total} bytes were asked for");
    // The third time nothing is asked for but the sidecars.
    fetcher
        .fetch(&url, Some(digest(&content())), &progress)
        .await
        .unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), total);
}

#[tokio::test]
async fn a_local_file_with_its_sidecars() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("node image.raw.zst");
    std::fs::write(&file, content()).unwrap();
    std::fs::write(
        directory.path().join("node image.raw.zst.sha256"),
        format!("{}  node image.raw.zst\n", digest(&content()).hex()),
    )
    .unwrap();
    let fetcher = fetcher(directory.path()).await;
    let url = url::Url::from_file_path(&file).unwrap();
    let manifest = fetcher
        .fetch(url.as_str(), None, &Progress::default())
        .await
        .unwrap();
    assert_eq!(manifest.digest, digest(&content()));
    assert_eq!(
        fetcher.store().manifest(manifest.digest).await.unwrap(),
        Some(manifest)
    );

    let wrong = fetcher
        .fetch(url.as_str(), Some(digest(b"other")), &Progress::default())
        .await
        .unwrap_err();
    assert!(matches!(wrong, Error::WrongDigest { .. }), "{wrong}");
    assert!(!wrong.is_retryable());
    assert_eq!(
        std::fs::read_dir(directory.path().join("images/quarantine"))
            .unwrap()
            .count(),
        1
    );
    assert_eq!(
        std::fs::read_dir(directory.path().join("images/partial"))
            .unwrap()
            .count(),
        0
    );
    assert_eq!(std::fs::read(&file).unwrap(), content());
}

#[tokio::test]
async fn a_file_that_is_rewritten_in_its_place_does_not_change_what_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.raw");
    std::fs::write(&file, content()).unwrap();
    let fetcher = fetcher(directory.path()).await;
    let url = url::Url::from_file_path(&file).unwrap();
    let progress = Progress::default();
    let manifest = fetcher.fetch(url.as_str(), None, &progress).await.unwrap();
    let kept = fetcher.store().path(manifest.digest);

    let changed: Vec<u8> = content().iter().map(|byte| !byte).collect();
    use std::os::unix::fs::FileExt;
    let writer = std::fs::File::options().write(true).open(&file).unwrap();
    writer.write_all_at(&changed, 0).unwrap();
    let is_kept = || std::fs::read(&kept).unwrap() == content();
    assert!(is_kept());
    let other = fetcher.fetch(url.as_str(), None, &progress).await.unwrap();
    assert_eq!(other.digest, digest(&changed));
    assert!(is_kept());

    // What an older appliance has linked into the store is fetched again.
    std::fs::hard_link(&kept, directory.path().join("second name")).unwrap();
    assert_eq!(fetcher.store().manifest(manifest.digest).await.unwrap(), None);
}

#[tokio::test]
async fn what_can_not_boot_or_be_found_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let fetcher = fetcher(directory.path()).await;
    let file = directory.path().join("text");
    std::fs::write(&file, "X no disk").unwrap();
    let url = format!("file://{}", file.display());
    let error = fetcher.fetch(&url, None, &Progress::default()).await.unwrap_err();
    assert!(
        error.to_string().contains("no boot loader") && !error.is_retryable(),
        "{error}"
    );
    let missing = fetcher
        .fetch("file:///nowhere/disk.raw", None, &Progress::default())
        .await
        .unwrap_err();
    assert!(
        missing.to_string().contains("/nowhere/disk.raw") && !missing.is_retryable(),
        "{missing}"
    );
    for url in ["ftp://host/disk", "disk.raw", ""] {
        let error = fetcher.fetch(url, None, &Progress::default()).await.unwrap_err();
        assert!(matches!(error, Error::Url { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_manifest_that_describes_another_image_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("node.raw");
    std::fs::write(&file, content()).unwrap();
    let url = url::Url::from_file_path(&file).unwrap();
    let told = measure()(&file, "node", None, &mut |_| {}).unwrap();
    let size = ImageManifest {
        raw_size: told.raw_size + 512,
        ..told.clone()
    };
    let other = ImageManifest {
        digest: digest(b"other"),
        ..told.clone()
    };
    let fetcher = fetcher(directory.path()).await;
    let publish = |manifest: &ImageManifest| {
        let text = serde_json::to_vec(manifest).unwrap();
        std::fs::write(directory.path().join("node.raw.manifest.json"), text).unwrap();
    };
    for (wrong, field) in [(&size, "rawSize"), (&other, "digest")] {
        publish(wrong);
        // The Image's own digest is right, only the manifest is another image's.
        let error = fetcher
            .fetch(url.as_str(), Some(told.digest), &Progress::default())
            .await
            .unwrap_err();
        assert!(
            matches!(&error, Error::WrongManifest { field: found, .. } if *found == field),
            "{error}"
        );
    }
    publish(&told);
    let manifest = fetcher
        .fetch(url.as_str(), None, &Progress::default())
        .await
        .unwrap();
    assert_eq!(manifest, told);
}
