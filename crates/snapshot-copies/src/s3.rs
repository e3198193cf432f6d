//! Copies in a bucket of an S3-compatible store (Amazon S3 API, Signature Version 4 in the query).

mod credentials;
mod upload;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::StreamExt as _;
use reqwest::{Certificate, Client, Response, StatusCode};
use rusty_s3::actions::ListObjectsV2;
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};
use tokio::fs;
use tokio::io::AsyncWriteExt as _;
use url::{Host, Url};

pub use self::credentials::{S3Key, S3KeyEnvironment, S3KeyFile, S3KeySource};
use crate::Error;

/// How long a signed URL counts, and a transfer may take.
const LIMIT: Duration = Duration::from_secs(60 * 60);
const CONNECT: Duration = Duration::from_secs(20);
/// How long nothing may come from a store that was asked for something.
const SILENCE: Duration = Duration::from_secs(60);
/// Bytes a second that at least go to a store: its answer comes when it has the last one.
const SLOWEST: u64 = 64 * 1024;
/// Bytes of the longest answer that is read as a text: a page of a list has 1,000 keys of at most 1,024 bytes.
const SAID: usize = 8 << 20;

/// Which bucket, and who asks it.
#[derive(Debug, Clone)]
pub struct S3Settings {
    /// URL of the store.
    pub endpoint: String,
    /// Region of the bucket.
    pub region: String,
    /// Name of the bucket.
    pub bucket: String,
    /// What all keys begin with, without `/` at the end; may be empty.
    pub prefix: String,
    /// Where the key is with which requests are signed.
    pub key: Arc<dyn S3KeySource>,
    /// Authorities that the store's certificate may come from, beside those that the host trusts.
    pub authorities: Option<PathBuf>,
}

/// A bucket.
#[derive(Debug)]
pub struct S3 {
    settings: S3Settings,
    bucket: Bucket,
    client: OnceLock<Client>,
}

impl S3 {
    /// The bucket of these settings. Nothing is asked yet.
    ///
    /// # Errors
    /// When the endpoint is none: only HTTPS is, or HTTP on this machine.
    pub fn new(settings: S3Settings) -> Result<Self, Error> {
        let wrong = |what| Error::Address {
            text: settings.endpoint.clone(),
            what,
        };
        let endpoint = Url::parse(&settings.endpoint).map_err(|_| wrong("it is no URL"))?;
        let is_here = match endpoint.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(_)) | None => false,
        };
        if endpoint.scheme() != "https" && !(endpoint.scheme() == "http" && is_here) {
            return Err(wrong("write an https URL"));
        }
        let (name, region) = (settings.bucket.clone(), settings.region.clone());
        // In the path: most stores have no names of their own for buckets in the DNS.
        let bucket = Bucket::new(endpoint, UrlStyle::Path, name, region);
        let bucket = bucket.map_err(|_| wrong("it is no URL of a store with this bucket"))?;
        Ok(Self {
            settings,
            bucket,
            client: OnceLock::new(),
        })
    }

    fn object(&self, key: &str) -> String {
        match self.settings.prefix.as_str() {
            "" => key.to_owned(),
            prefix => format!("{prefix}/{key}"),
        }
    }

    pub(crate) fn url(&self, key: &str) -> String {
        format!("s3://{}/{}", self.settings.bucket, self.object(key))
    }

    pub(crate) async fn get(&self, key: &str, to: &Path) -> Result<(), Error> {
        let (object, credentials) = (self.object(key), self.credentials().await?);
        let url = self.bucket.get_object(Some(&credentials), &object).sign(LIMIT);
        let answer = self.ask(key, self.client()?.get(url)).await?;
        let write = async {
            let mut file = fs::File::create(to).await.map_err(Error::file("make", to))?;
            let mut parts = answer.bytes_stream();
            let mut next = async || {
                let next = async { Ok(parts.next().await) };
                self.limited(key, SILENCE, next).await
            };
            while let Some(part) = next().await? {
                let part = part.map_err(|source| self.failed(key, source))?;
                file.write_all(&part).await.map_err(Error::file("write", to))?;
            }
            file.flush().await.map_err(Error::file("write", to))
        };
        self.limited(key, LIMIT, write).await
    }

    pub(crate) async fn list(&self, folder: &str) -> Result<Vec<String>, Error> {
        let (prefix, credentials) = (format!("{}/", self.object(folder)), self.credentials().await?);
        let mut names = Vec::new();
        let mut after = None;
        loop {
            let mut action = self.bucket.list_objects_v2(Some(&credentials));
            action.with_prefix(prefix.clone());
            if let Some(after) = after.take() {
                action.with_continuation_token(after);
            }
            let answer = self.ask(folder, self.client()?.get(action.sign(LIMIT))).await?;
            let text = self.text(folder, answer).await?;
            let page = ListObjectsV2::parse_response(&text).map_err(|error| Error::Refused {
                place: self.url(folder),
                status: StatusCode::OK.as_u16(),
                said: format!("its list can't be read: {error}"),
            })?;
            let keys = page.contents.into_iter().map(|object| object.key);
            names.extend(keys.filter_map(|key| key.strip_prefix(&prefix).map(str::to_owned)));
            after = page.next_continuation_token;
            if after.is_none() {
                return Ok(names);
            }
        }
    }

    pub(crate) async fn remove(&self, key: &str) -> Result<(), Error> {
        let credentials = self.credentials().await?;
        let url = self
            .bucket
            .delete_object(Some(&credentials), &self.object(key))
            .sign(LIMIT);
        match self.ask(key, self.client()?.delete(url)).await {
            Ok(_) | Err(Error::Missing { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn ask(&self, key: &str, request: reqwest::RequestBuilder) -> Result<Response, Error> {
        self.send(key, request, 0).await
    }

    /// A request with so many bytes.
    async fn send(&self, key: &str, request: reqwest::RequestBuilder, bytes: u64) -> Result<Response, Error> {
        let send = async { request.send().await.map_err(|source| self.failed(key, source)) };
        let limit = SILENCE.saturating_add(Duration::from_secs(bytes / SLOWEST));
        let answer = self.limited(key, limit, send).await?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let place = self.url(key);
        let body = self.text(key, answer).await.unwrap_or_default();
        if status == StatusCode::NOT_FOUND && !body.contains("<Code>NoSuchBucket<") {
            return Err(Error::Missing { place });
        }
        Err(refusal(place, status, &body))
    }

    /// The text of an answer, as far as it is looked at.
    async fn text(&self, key: &str, mut answer: Response) -> Result<String, Error> {
        let mut text = Vec::new();
        let read = async {
            while text.len() < SAID {
                let part = answer.chunk().await.map_err(|source| self.failed(key, source))?;
                let Some(part) = part else {
                    break;
                };
                text.extend_from_slice(&part);
            }
            Ok(())
        };
        self.limited(key, SILENCE, read).await?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Without the URL, whose query holds a signature.
    fn failed(&self, key: &str, source: reqwest::Error) -> Error {
        Error::Request {
            place: self.url(key),
            source: source.without_url(),
        }
    }

    async fn limited<T>(
        &self,
        key: &str,
        limit: Duration,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
            Err(Error::Slow {
                place: self.url(key),
                seconds: limit.as_secs(),
            })
        })
    }

    async fn credentials(&self) -> Result<Credentials, Error> {
        credentials::credentials(&*self.settings.key).await
    }

    /// Made at the first use: it reads every certificate that the host trusts.
    fn client(&self) -> Result<&Client, Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let mut builder = Client::builder()
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(path) = &self.settings.authorities {
            let bundle = match std::fs::read(path) {
                Ok(bundle) => bundle,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(Error::Setting {
                        path: path.clone(),
                        what: "there is no such file",
                    });
                }
                Err(error) => return Err(Error::file("read", path)(error)),
            };
            let certificates = Certificate::from_pem_bundle(&bundle).unwrap_or_default();
            if certificates.is_empty() {
                return Err(Error::Setting {
                    path: path.clone(),
                    what: "it must hold certificates of authorities as PEM",
                });
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let made = builder.build().map_err(|source| Error::Request {
            place: self.url(""),
            source,
        })?;
        Ok(self.client.get_or_init(|| made))
    }
}

/// What a store says when it refuses, by code and message in its answer.
fn refusal(place: String, status: StatusCode, body: &str) -> Error {
    let part = |tag: &str| {
        let (_, rest) = body.split_once(&format!("<{tag}>"))?;
        Some(rest.split_once('<')?.0)
    };
    let said: Vec<&str> = [part("Code"), part("Message")].into_iter().flatten().collect();
    Error::Refused {
        place,
        status: status.as_u16(),
        said: resources::printable(&said.join(": ")).to_string(),
    }
}
