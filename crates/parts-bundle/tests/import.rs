//! Imports of bundles from a folder and from a web server, signed by the real `minisign`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use parts_bundle::{Error, INDEX_FILE, Import, Imported, Index, Key, SIGNATURE_FILE, Source, import};

/// A bundle and a parts folder.
struct World {
    scratch: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        // Fails when another test of this program was first, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let world = World {
            scratch: tempfile::tempdir().unwrap(),
        };
        for folder in ["boot", "bin", "images"] {
            std::fs::create_dir_all(world.bundle().join(folder)).unwrap();
        }
        let image = |seed: u32| {
            (0..300_000_u32)
                .map(|i| (i.wrapping_mul(seed) >> 7) as u8)
                .collect::<Vec<u8>>()
        };
        world.write("boot/vmlinuz", b"kernel");
        world.write("bin/kubectl", b"program");
        world.write("images/node-1.34.raw", &image(7919));
        world.write("images/node-1.35.raw", &image(104_729));
        world.write("release-1.34.json", b"{}");
        world.write("release.json", b"{}");
        world.index();
        world
    }

    fn bundle(&self) -> PathBuf {
        self.scratch.path().join("bundle")
    }

    fn parts(&self) -> PathBuf {
        self.scratch.path().join("parts")
    }

    fn write(&self, path: &str, octets: &[u8]) {
        std::fs::write(self.bundle().join(path), octets).unwrap();
    }

    fn index(&self) {
        let files = [
            ("boot/vmlinuz", None),
            ("bin/kubectl", None),
            ("images/node-1.34.raw", Some("1.34")),
            ("images/node-1.35.raw", Some("1.35")),
            ("release-1.34.json", Some("1.34")),
            ("release.json", Some("1.35")),
        ];
        let files = files.map(|(path, version)| (path.to_owned(), version.map(str::to_owned)));
        let index = Index::of(&self.bundle(), "0.1.0", files.to_vec()).unwrap();
        index.write(&self.bundle()).unwrap();
    }

    /// Signs the index with a new key, and gives that.
    fn sign(&self, name: &str) -> Key {
        let (public, secret) = (self.file(name, "pub"), self.file(name, "key"));
        minisign(&["-G", "-W", "-f", "-p"], &[&public], &["-s"], &secret);
        minisign(
            &["-S", "-m"],
            &[&self.bundle().join(INDEX_FILE)],
            &["-s"],
            &secret,
        );
        Key::read(&public).unwrap()
    }

    fn file(&self, name: &str, kind: &str) -> PathBuf {
        self.scratch.path().join(format!("{name}.{kind}"))
    }

    async fn import(
        &self,
        source: &Source,
        key: Option<&Key>,
        kubernetes: &[&str],
    ) -> Result<Imported, Error> {
        let kubernetes: Vec<String> = kubernetes.iter().map(|version| (*version).to_owned()).collect();
        let wanted = Import {
            source,
            into: &self.parts(),
            key,
            kubernetes: &kubernetes,
        };
        import(&wanted, &mut |_, _, _| {}).await
    }

    fn folder(&self) -> Source {
        Source::parse(self.bundle().to_str().unwrap()).unwrap()
    }

    fn same(&self, path: &str) -> bool {
        std::fs::read(self.bundle().join(path)).unwrap() == std::fs::read(self.parts().join(path)).unwrap()
    }
}

fn minisign(first: &[&str], file: &[&Path], flag: &[&str], secret: &Path) {
    let status = Command::new("minisign")
        .args(first)
        .args(file)
        .args(flag)
        .arg(secret)
        .output();
    let output = status.expect("minisign, which hack/needs installs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Serves the folder, and does with the answers what `change` says.
async fn serve(
    folder: PathBuf,
    change: impl Fn(Response) -> Response + Clone + Send + Sync + 'static,
) -> Source {
    let layer = from_fn(move |request: Request, next: Next| {
        let change = change.clone();
        async move { change(next.run(request).await) }
    });
    let router = Router::new()
        .fallback_service(tower_http::services::ServeDir::new(folder))
        .layer(layer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    Source::parse(&format!("http://{address}")).unwrap()
}

#[tokio::test]
async fn a_folder_is_imported_by_version_and_again_without_copying() {
    let world = World::new();
    let key = world.sign("release");
    let imported = world
        .import(&world.folder(), Some(&key), &["1.35"])
        .await
        .unwrap();
    assert_eq!(
        imported.new,
        [
            "bin/kubectl",
            "boot/vmlinuz",
            "images/node-1.35.raw",
            "release.json"
        ]
    );
    assert!(imported.new.iter().all(|path| world.same(path)));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(world.parts().join("bin/kubectl"))
            .unwrap()
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o755);
    let imported = world.import(&world.folder(), Some(&key), &[]).await.unwrap();
    assert_eq!((imported.kept, imported.new.len()), (4, 2));
    let error = world
        .import(&world.folder(), Some(&key), &["1.30"])
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the bundle has nothing for Kubernetes 1.30; it has 1.34, 1.35"
    );
}

#[tokio::test]
async fn only_the_named_key_is_trusted() {
    let world = World::new();
    let trusted = world.sign("trusted");
    std::fs::remove_file(world.bundle().join(SIGNATURE_FILE)).unwrap();
    let error = world
        .import(&world.folder(), Some(&trusted), &[])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("--unsigned"), "{error}");
    world.sign("other");
    let error = world
        .import(&world.folder(), Some(&trusted), &[])
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Signature { .. }), "{error}");
    assert!(!world.parts().exists(), "nothing of it is there");
    // A file that is changed after the signing changes no byte of the index.
    let other = world.sign("third");
    world.write("images/node-1.34.raw", &vec![1; 300_000]);
    let error = world
        .import(&world.folder(), Some(&other), &[])
        .await
        .unwrap_err();
    assert!(matches!(error, Error::WrongDigest { .. }), "{error}");
    assert!(!world.parts().join("images/node-1.34.raw").exists());
    assert!(
        !world.parts().join("release-1.34.json").exists(),
        "no release without its image"
    );
    // An index that is written anew has no signature.
    world.index();
    let error = world
        .import(&world.folder(), Some(&other), &[])
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unsigned { .. }), "{error}");
    world.import(&world.folder(), None, &[]).await.unwrap();
}

/// Lets 100,000 bytes of each answer through, then breaks the connection, so often.
fn cut(sent: Arc<AtomicU64>, times: Arc<AtomicUsize>) -> impl Fn(Response) -> Response + Clone + Send + Sync {
    move |response| {
        let (sent, times) = (Arc::clone(&sent), Arc::clone(&times));
        let (parts, body) = response.into_parts();
        let left = Arc::new(AtomicUsize::new(100_000));
        let stream = futures::StreamExt::then(body.into_data_stream(), move |piece| {
            let (sent, times, left) = (Arc::clone(&sent), Arc::clone(&times), Arc::clone(&left));
            async move {
                let piece = piece.map_err(std::io::Error::other)?;
                let before = left.load(Ordering::SeqCst);
                left.store(before.saturating_sub(piece.len()), Ordering::SeqCst);
                let one_less = |times: usize| times.checked_sub(1);
                if before < piece.len()
                    && times
                        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
                        .is_ok()
                {
                    // What came before is sent while there is nothing more to send.
                    for _ in 0..100 {
                        tokio::task::yield_now().await;
                    }
                    return Err(std::io::Error::other("cut"));
                }
                sent.fetch_add(piece.len() as u64, Ordering::SeqCst);
                Ok(piece)
            }
        });
        Response::from_parts(parts, Body::from_stream(stream))
    }
}

#[tokio::test]
async fn a_broken_download_continues_where_it_broke() {
    let world = World::new();
    let sent = Arc::new(AtomicU64::new(0));
    let times = Arc::new(AtomicUsize::new(4));
    let source = serve(world.bundle(), cut(Arc::clone(&sent), times)).await;
    let imported = world.import(&source, None, &[]).await.unwrap();
    assert_eq!(imported.new.len(), 6);
    assert!(imported.new.iter().all(|path| world.same(path)));
    let sent = sent.load(Ordering::SeqCst);
    assert!(sent < 700_000, "{sent} bytes of 600,000 and an index were sent");
}

#[tokio::test]
async fn what_an_interrupted_import_left_is_checked_before_it_is_used() {
    let world = World::new();
    let sent = Arc::new(AtomicU64::new(0));
    // More often than one import tries without a byte more, so that only progress lets it go on.
    let source = serve(
        world.bundle(),
        cut(Arc::clone(&sent), Arc::new(AtomicUsize::new(20))),
    )
    .await;
    world.import(&source, None, &["1.35"]).await.unwrap();
    let partial = world.parts().join("partial");
    let index = Index::parse(&std::fs::read(world.bundle().join(INDEX_FILE)).unwrap(), "i").unwrap();
    let entry = index
        .files
        .iter()
        .find(|entry| entry.path == "images/node-1.34.raw")
        .unwrap();
    std::fs::create_dir_all(&partial).unwrap();
    std::fs::write(partial.join(entry.digest.hex()), vec![9; 200_000]).unwrap();
    let imported = world.import(&source, None, &[]).await.unwrap();
    assert_eq!(imported.new, ["images/node-1.34.raw", "release-1.34.json"]);
    assert!(
        world.same("images/node-1.34.raw"),
        "wrong beginnings are replaced"
    );
    assert!(!partial.exists());
}

#[tokio::test]
async fn a_server_without_ranges_or_with_a_page_of_errors() {
    let world = World::new();
    let whole = |mut response: Response| {
        response.headers_mut().remove("accept-ranges");
        response
    };
    let source = serve(world.bundle(), whole).await;
    world.import(&source, None, &["1.34"]).await.unwrap();
    std::fs::remove_file(world.bundle().join("images/node-1.35.raw")).unwrap();
    let error = world.import(&source, None, &[]).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("node-1.35.raw: the server answered HTTP status 404"),
        "{error}"
    );
    let error = Source::parse("/nonexistent").unwrap_err().to_string();
    assert!(error.contains("neither a folder"), "{error}");
    let nothing = serve(world.scratch.path().join("nothing"), |response| response).await;
    let error = world.import(&nothing, None, &[]).await.unwrap_err().to_string();
    assert!(error.contains("this is no bundle"), "{error}");
}
