//! Who asks a bucket.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use resources::Secret;
use rusty_s3::Credentials;
use tokio::fs;

use crate::Error;

/// Names of the environment variables of AWS' tools, which are also the keys of a Kubernetes Secret.
const VARIABLES: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// Id, secret and token of a key, by the names of AWS' environment variables; other names count for nothing.
pub type S3Key = BTreeMap<String, Secret<String>>;

/// Where the key for a bucket is. It is read for each operation, so that another one counts from then on.
pub trait S3KeySource: fmt::Debug + Send + Sync {
    /// Reads it.
    fn read(&self) -> BoxFuture<'_, Result<S3Key, Error>>;

    /// What to put where, for people: the key was read, and lacks its id or its secret.
    fn lacks(&self) -> Error;
}

/// A key in a file as AWS' tools have it: lines `aws_access_key_id = ...`.
#[derive(Debug, Clone)]
pub struct S3KeyFile(pub PathBuf);

impl S3KeySource for S3KeyFile {
    fn read(&self) -> BoxFuture<'_, Result<S3Key, Error>> {
        async move {
            let text = fs::read_to_string(&self.0).await;
            let text = text.map_err(Error::file("read", &self.0))?;
            let mut key = S3Key::new();
            for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
                let value = Secret::new(value.trim().to_owned());
                // The first profile counts.
                key.entry(name.trim().to_ascii_uppercase()).or_insert(value);
            }
            Ok(key)
        }
        .boxed()
    }

    fn lacks(&self) -> Error {
        Error::Setting {
            path: self.0.clone(),
            what: "it must have lines aws_access_key_id = ... and aws_secret_access_key = ...",
        }
    }
}

/// A key in the environment of this process.
#[derive(Debug, Clone, Copy)]
pub struct S3KeyEnvironment;

impl S3KeySource for S3KeyEnvironment {
    fn read(&self) -> BoxFuture<'_, Result<S3Key, Error>> {
        let value = |name: &str| Some((name.to_owned(), Secret::new(std::env::var(name).ok()?)));
        let key = VARIABLES.into_iter().filter_map(value).collect();
        std::future::ready(Ok(key)).boxed()
    }

    fn lacks(&self) -> Error {
        Error::NoKey {
            place: "the environment".to_owned(),
        }
    }
}

/// The key of a source, as requests are signed with it.
pub(super) async fn credentials(source: &dyn S3KeySource) -> Result<Credentials, Error> {
    let key = source.read().await?;
    let [id, secret, token] = VARIABLES.map(|name| {
        let value = key.get(name).map(|value| value.reveal().trim());
        value.filter(|value| !value.is_empty())
    });
    match (id, secret, token) {
        (Some(id), Some(secret), Some(token)) => Ok(Credentials::new_with_token(id, secret, token)),
        (Some(id), Some(secret), None) => Ok(Credentials::new(id, secret)),
        _ => Err(source.lacks()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn of(text: &str) -> Result<Credentials, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        std::fs::write(&path, text).unwrap();
        credentials(&S3KeyFile(path)).await
    }

    #[tokio::test]
    async fn a_file_has_the_lines_of_aws_tools() {
        let lines = "[default]\naws_access_key_id = id\naws_secret_access_key=a=b\n";
        let key = of(lines).await.unwrap();
        assert_eq!((key.key(), key.secret(), key.token()), ("id", "a=b", None));
        let more = format!("{lines}aws_session_token = t\n[other]\naws_access_key_id = other\n");
        let key = of(&more).await.unwrap();
        assert_eq!((key.key(), key.token()), ("id", Some("t")));
        for bad in [
            "",
            "aws_access_key_id = id\n",
            "aws_access_key_id =\naws_secret_access_key = x\n",
        ] {
            let text = of(bad).await.unwrap_err().to_string();
            assert!(text.contains("aws_access_key_id = ..."), "{text}");
        }
    }
}
