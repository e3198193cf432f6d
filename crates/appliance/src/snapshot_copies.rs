//! Copies of snapshots as the settings want them, as the coordinator takes them.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use clusters::{Failure, Sink};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::Api;
use resources::gantry::SnapshotCopy;
use sealed_files::Reader;
use snapshot_copies::{
    Copies, Directory, Key, Place, S3, S3Key, S3KeyEnvironment, S3KeyFile, S3KeySource, S3Settings,
};

use crate::error::Error;
use crate::settings::{CopyPlace, SnapshotCopySettings, StoreKey};

const WHAT: &str = "copies of snapshots";
/// Folder in the data directory for files on their way.
const TRANSIT: &str = "snapshot-transit";

/// Opens them; none where nothing is to be copied.
pub(crate) fn open(
    settings: &SnapshotCopySettings,
    data: &Path,
    client: &Client,
) -> Result<Option<Arc<dyn clusters::SnapshotCopies>>, Error> {
    let (Some(place), Some(key)) = (&settings.place, &settings.key) else {
        return Ok(None);
    };
    let place = match place {
        CopyPlace::Directory(path) => Place::Directory(Directory::new(path.clone())),
        CopyPlace::Bucket(bucket, prefix) => {
            let amazon = || format!("https://s3.{}.amazonaws.com", settings.region);
            let s3 = S3::new(S3Settings {
                endpoint: settings.endpoint.clone().unwrap_or_else(amazon),
                region: settings.region.clone(),
                bucket: bucket.clone(),
                prefix: prefix.clone(),
                key: store_key(settings.credentials.as_ref(), client),
                authorities: settings.authorities.clone(),
            });
            Place::S3(Box::new(s3.map_err(Error::part(WHAT))?))
        }
    };
    let key = Key::read(key).map_err(Error::part(WHAT))?;
    let kept = usize::try_from(settings.kept).unwrap_or(usize::MAX);
    let copies = Copies::open(place, &key, &data.join(TRANSIT), kept);
    Ok(Some(Arc::new(Outside(copies.map_err(Error::part(WHAT))?))))
}

fn store_key(key: Option<&StoreKey>, client: &Client) -> Arc<dyn S3KeySource> {
    match key {
        Some(StoreKey::File(path)) => Arc::new(S3KeyFile(path.clone())),
        Some(StoreKey::Secret(namespace, name)) => Arc::new(S3KeySecret {
            secrets: Api::namespaced(client.clone(), namespace),
            namespace: namespace.clone(),
            name: name.clone(),
        }),
        // A bucket without one is refused with the settings.
        Some(StoreKey::Environment) | None => Arc::new(S3KeyEnvironment),
    }
}

/// A key in a Secret of the appliance's API.
struct S3KeySecret {
    secrets: Api<Secret>,
    namespace: String,
    name: String,
}

impl fmt::Debug for S3KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())
    }
}

impl S3KeySecret {
    fn place(&self) -> String {
        format!("Secret {} in {}", self.name, self.namespace)
    }
}

impl S3KeySource for S3KeySecret {
    fn read(&self) -> BoxFuture<'_, Result<S3Key, snapshot_copies::Error>> {
        async move {
            let failed = |why| snapshot_copies::Error::Key {
                place: self.place(),
                why,
            };
            let found = self.secrets.get_opt(&self.name).await;
            let found = found.map_err(|error| failed(causes::line(&error)))?;
            let secret = found.ok_or_else(|| failed("there is no such Secret".to_owned()))?;
            let text = |(name, value): (String, ByteString)| {
                let value = String::from_utf8(value.0).ok()?;
                Some((name, resources::Secret::new(value)))
            };
            let data = secret.data.unwrap_or_default();
            Ok(data.into_iter().filter_map(text).collect())
        }
        .boxed()
    }

    fn lacks(&self) -> snapshot_copies::Error {
        snapshot_copies::Error::NoKey { place: self.place() }
    }
}

#[derive(Debug)]
struct Outside(Copies);

impl clusters::SnapshotCopies for Outside {
    fn location(&self, copy: &SnapshotCopy) -> String {
        self.0.location(copy)
    }

    fn put<'a>(&'a self, copy: &'a SnapshotCopy, from: Reader) -> BoxFuture<'a, Result<(), Failure>> {
        let put = self.0.put(copy, from);
        put.map(|done| done.map_err(|error| causes::line(&error))).boxed()
    }

    fn fetch<'a>(&'a self, copy: &'a SnapshotCopy, to: &'a mut Sink) -> BoxFuture<'a, Result<(), Failure>> {
        let fetch = self.0.fetch(copy, to);
        fetch
            .map(|done| done.map_err(|error| causes::line(&error)))
            .boxed()
    }
}

#[cfg(test)]
mod tests {
    use kube::api::PostParams;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn the_key_of_a_bucket_comes_from_a_secret_as_it_is_now() {
        let site = sim::Site::start("eksa-system").await;
        let key = StoreKey::Secret("eksa-system".to_owned(), "s3".to_owned());
        let source = store_key(Some(&key), &site.client());
        let missing = source.read().await.map(drop).unwrap_err();
        let text = causes::line(&missing);
        assert!(
            text.contains("Secret s3 in eksa-system: there is no such Secret"),
            "{text}"
        );
        let lacks = source.lacks().to_string();
        assert!(lacks.contains("Secret s3 in eksa-system has no key"), "{lacks}");
        let secret = json!({
            "metadata": { "name": "s3" },
            "stringData": { "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret" },
        });
        let secret = serde_json::from_value(secret).unwrap();
        let secrets: Api<Secret> = site.api();
        secrets.create(&PostParams::default(), &secret).await.unwrap();
        let key = source.read().await.unwrap();
        let value = |name: &str| key.get(name).map(|value| value.reveal().clone());
        assert_eq!(value("AWS_ACCESS_KEY_ID").as_deref(), Some("id"));
        assert_eq!(value("AWS_SECRET_ACCESS_KEY").as_deref(), Some("secret"));
    }
}
