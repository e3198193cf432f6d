//! Copies in a bucket of a real S3 server, which checks signatures.
//!
//! They are ignored by default, because the program is not built by cargo: `cargo xtask peers`, which CI runs before.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use resources::gantry::SnapshotCopy;
use sim::Program;
use snapshot_copies::{Copies, Error, Place, S3, S3KeyEnvironment, S3KeyFile, S3Settings};

use crate::site::{Appliance, fetched, keeps};

const BUCKET: &str = "backup";

/// A store with one bucket, and what is needed to ask it.
struct Store {
    _program: Program,
    endpoint: String,
    authorities: PathBuf,
}

/// Starts a store with a certificate of an authority of its own.
async fn store(folder: &Path) -> Store {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (folder.join("store.pem"), folder.join("store.key"));
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let flag = |name: &str, value: &str| format!("--{name}={value}");
    let program = Program::start(
        "s3",
        folder,
        &[
            flag("bucket", BUCKET),
            flag("id", "gantry"),
            flag("secret", "correct"),
            flag("certificate", certificate.to_str().unwrap()),
            flag("key", key.to_str().unwrap()),
        ],
    );
    let address = loop {
        let log = program.log();
        if let Some((_, rest)) = log.split_once("listening on ") {
            break rest.lines().next().unwrap().to_owned();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    Store {
        _program: program,
        endpoint: format!("https://{address}"),
        authorities: certificate,
    }
}

impl Store {
    fn settings(&self, folder: &Path, secret: &str) -> S3Settings {
        let credentials = folder.join(format!("credentials-{secret}"));
        let text = format!("[default]\naws_access_key_id = gantry\naws_secret_access_key = {secret}\n");
        std::fs::write(&credentials, text).unwrap();
        S3Settings {
            endpoint: self.endpoint.clone(),
            region: "us-east-1".to_owned(),
            bucket: BUCKET.to_owned(),
            prefix: "sites/gantry".to_owned(),
            key: Arc::new(S3KeyFile(credentials)),
            authorities: Some(self.authorities.clone()),
        }
    }
}

fn open(appliance: &Appliance, settings: S3Settings) -> Copies {
    appliance.copies(Place::S3(Box::new(S3::new(settings).unwrap())), "5a", 3)
}

#[tokio::test]
#[ignore = "needs the program s3: cargo xtask peers"]
async fn real_bucket_keeps_the_newest_copies() {
    let appliance = Appliance::new();
    let folder = appliance.folder.path();
    let store = store(folder).await;
    let copies = open(&appliance, store.settings(folder, "correct"));
    keeps(&appliance, &copies).await;
    let copy = appliance.taken(100, 9).await;
    appliance.put(&copies, &copy).await.unwrap();
    let place = copies.location(&copy);
    assert!(
        place.starts_with("s3://backup/sites/gantry/eksa-system/prod/"),
        "{place}"
    );
    assert_eq!(SnapshotCopy::read(&place), Some(copy));

    // In parts, the last of which is shorter.
    let large = appliance.taken((40 << 20) + 7, 10).await;
    appliance.put(&copies, &large).await.unwrap();
    let data = fetched(&copies, &large).await.unwrap();
    assert_eq!(data.len(), (40 << 20) + 7);
}

#[tokio::test]
#[ignore = "needs the program s3: cargo xtask peers"]
async fn real_bucket_refuses_and_the_reason_is_told() {
    let appliance = Appliance::new();
    let folder = appliance.folder.path();
    let store = store(folder).await;
    let copy = appliance.taken(100, 0).await;
    let refused = async |settings: S3Settings| {
        let copies = open(&appliance, settings);
        let put = appliance.put(&copies, &copy).await.unwrap_err();
        let fetch = fetched(&copies, &copy).await.unwrap_err();
        assert_eq!(
            std::mem::discriminant(&put),
            std::mem::discriminant(&fetch),
            "{put} {fetch}"
        );
        put
    };
    let settings = |secret: &str| store.settings(folder, secret);
    let wrong = refused(settings("wrong")).await;
    assert!(matches!(wrong, Error::Refused { status: 403, .. }), "{wrong}");
    assert!(wrong.to_string().contains("SignatureDoesNotMatch"), "{wrong}");
    let elsewhere = refused(S3Settings {
        bucket: "nobodys".to_owned(),
        ..settings("correct")
    });
    let elsewhere = elsewhere.await.to_string();
    assert!(elsewhere.contains("NoSuchBucket"), "{elsewhere}");
    // This process has none.
    let no_key = refused(S3Settings {
        key: Arc::new(S3KeyEnvironment),
        ..settings("correct")
    });
    let no_key = no_key.await.to_string();
    assert!(no_key.contains("AWS_ACCESS_KEY_ID"), "{no_key}");
    // Its authority is not known.
    let unknown = refused(S3Settings {
        authorities: None,
        ..settings("correct")
    });
    assert!(matches!(unknown.await, Error::Request { .. }));
    for (endpoint, good) in [
        (store.endpoint.as_str(), true),
        ("http://127.0.0.1:1", true),
        ("http://192.0.2.1", false),
        ("ftp://127.0.0.1", false),
        ("store", false),
    ] {
        let made = S3::new(S3Settings {
            endpoint: endpoint.to_owned(),
            ..settings("correct")
        });
        assert_eq!(made.is_ok(), good, "{endpoint}");
    }
    let gone = fetched(&open(&appliance, settings("correct")), &copy)
        .await
        .unwrap_err();
    assert!(matches!(gone, Error::Missing { .. }), "{gone}");
}
