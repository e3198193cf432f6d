//! From a URL to a checked and measured file in the store. What came is kept over restarts and continued by a range.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::StreamExt;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, LAST_MODIFIED, RANGE};
use reqwest::{Response, StatusCode};
use resources::{Digest, ImageManifest};
use sha2::{Digest as _, Sha256};
use tokio::fs;
use tokio::io::AsyncWriteExt;
use url::Url;

use crate::measure::Measure;
use crate::sidecar::{LIMIT, Sidecars, parse_digest, parse_manifest};
use crate::store::failed;
use crate::{Error, ImageStore};

/// How far a fetch is. Cheap to share; read it at any time.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    /// Share of the work done, 0 to 100; fetching and measuring are a half each.
    #[must_use]
    pub fn percent(&self) -> u8 {
        let total = self.total.load(Ordering::Relaxed).max(1);
        let done = self.done.load(Ordering::Relaxed).min(total);
        u8::try_from(u128::from(done) * 100 / u128::from(total)).unwrap_or(100)
    }

    fn begin(&self, size: u64) {
        self.total.store(size.saturating_mul(2), Ordering::Relaxed);
    }

    fn at(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
    }
}

/// Fetches images into a store.
#[derive(Clone)]
pub struct Fetcher {
    store: ImageStore,
    /// Made at the first use: it reads every certificate that the host trusts, and a site whose images are files
    /// needs none.
    client: Arc<OnceLock<reqwest::Client>>,
    measure: Measure,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl Fetcher {
    /// A fetcher with its own HTTP client. Proxies come from the environment.
    #[must_use]
    pub fn new(store: ImageStore, measure: Measure) -> Self {
        Self {
            store,
            client: Arc::default(),
            measure,
        }
    }

    fn client(&self) -> Result<&reqwest::Client, Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let made = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(20))
            .read_timeout(Duration::from_secs(60))
            .build()
            .map_err(Error::Client)?;
        Ok(self.client.get_or_init(|| made))
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &ImageStore {
        &self.store
    }

    /// Fetches, checks and measures; at once when the store has the file already. Dropping the future stops it; what
    /// came stays and is continued by the next call.
    ///
    /// # Errors
    /// See [`Error`]; a file with a wrong digest is set aside.
    pub async fn fetch(
        &self,
        url: &str,
        digest: Option<Digest>,
        progress: &Progress,
    ) -> Result<ImageManifest, Error> {
        let wrong = || Error::Url { url: url.to_owned() };
        let parsed = Url::parse(url).map_err(|_| wrong())?;
        let partial = self.store.partial(Digest::new(Sha256::digest(url).into()));
        let file = parsed
            .path_segments()
            .and_then(|mut segments| segments.next_back())
            .unwrap_or_default();
        let sidecars = match parsed.scheme() {
            "http" | "https" => self.web_sidecars(&parsed, file).await?,
            "file" => local_sidecars(&parsed.to_file_path().map_err(|()| wrong())?).await?,
            _ => return Err(wrong()),
        };
        let wanted = sidecars.wanted(digest, url);
        if let Some((wanted, _)) = &wanted
            && let Some(manifest) = self.store.manifest(*wanted).await?
        {
            return Ok(manifest);
        }
        if parsed.scheme() == "file" {
            take_local(&parsed.to_file_path().map_err(|()| wrong())?, &partial, progress).await?;
        } else {
            self.download(&parsed, &partial, progress).await?;
        }
        let name = file.split('.').next().unwrap_or(file);
        let measured = self
            .measured(url, name, &partial, sidecars.manifest.clone(), progress)
            .await;
        let manifest = match measured.and_then(|manifest| checked(url, manifest, wanted, sidecars.manifest)) {
            Ok(manifest) => manifest,
            Err(error) => {
                if !error.is_retryable() {
                    self.store.quarantine(&partial).await?;
                    forget_validator(&partial).await;
                }
                return Err(error);
            }
        };
        self.store.adopt(&partial, &manifest).await?;
        forget_validator(&partial).await;
        Ok(manifest)
    }

    async fn measured(
        &self,
        url: &str,
        name: &str,
        partial: &Path,
        published: Option<ImageManifest>,
        progress: &Progress,
    ) -> Result<ImageManifest, Error> {
        let size = fs::metadata(partial)
            .await
            .map_err(failed(partial, "examining"))?
            .len();
        progress.begin(size);
        let measure = Arc::clone(&self.measure);
        let (path, name) = (partial.to_owned(), name.to_owned());
        let counter = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&counter);
        let mut task = tokio::task::spawn_blocking(move || {
            measure(&path, &name, published.as_ref(), &mut |done| {
                counted.store(done, Ordering::Relaxed);
            })
        });
        let mut tick = tokio::time::interval(Duration::from_millis(500));
        let result = loop {
            tokio::select! {
                result = &mut task => break result,
                _ = tick.tick() => progress.at(size + counter.load(Ordering::Relaxed)),
            }
        };
        let result = result.unwrap_or_else(|error| Err(error.into()));
        result.map_err(|source| Error::Measure {
            url: url.to_owned(),
            reason: source.to_string(),
            source,
        })
    }

    async fn web_sidecars(&self, url: &Url, file: &str) -> Result<Sidecars, Error> {
        let beside = |suffix: &str| {
            let mut beside = url.clone();
            beside.set_path(&format!("{}{suffix}", url.path()));
            beside
        };
        let manifest = match self.small(beside(".manifest.json")).await? {
            Some(text) => Some(parse_manifest(&text, beside(".manifest.json").as_str())?),
            None => None,
        };
        let digest = match self.small(beside(".sha256")).await? {
            Some(text) => Some(parse_digest(
                &String::from_utf8_lossy(&text),
                beside(".sha256").as_str(),
                file,
            )?),
            None => None,
        };
        Ok(Sidecars { digest, manifest })
    }

    /// A small file, or `None` when the server does not have it.
    async fn small(&self, url: Url) -> Result<Option<Vec<u8>>, Error> {
        let broken = |source| Error::Fetch {
            url: url.to_string(),
            source,
        };
        let answer = self.client()?.get(url.clone()).send().await.map_err(broken)?;
        match answer.status() {
            StatusCode::OK => {}
            // Stores without listing right answer 403 for what is not there.
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::GONE => return Ok(None),
            status => {
                return Err(Error::Refused {
                    url: url.to_string(),
                    status: status.as_u16(),
                });
            }
        }
        let mut text = Vec::new();
        let mut stream = answer.bytes_stream();
        while let Some(piece) = stream.next().await {
            text.extend_from_slice(&piece.map_err(broken)?);
            if text.len() > LIMIT {
                return Err(Error::Sidecar {
                    url: url.to_string(),
                    reason: format!("it is longer than {LIMIT} bytes"),
                });
            }
        }
        Ok(Some(text))
    }

    async fn download(&self, url: &Url, partial: &Path, progress: &Progress) -> Result<(), Error> {
        let broken = |source| Error::Fetch {
            url: url.to_string(),
            source,
        };
        let validator_path = validator_path(partial);
        let validator = fs::read_to_string(&validator_path).await.ok();
        let have = fs::metadata(partial).await.map_or(0, |metadata| metadata.len());
        let mut request = self.client()?.get(url.clone());
        if let Some(validator) = validator.filter(|_| have > 0) {
            request = request
                .header(RANGE, format!("bytes={have}-"))
                .header(IF_RANGE, validator);
        }
        let answer = request.send().await.map_err(broken)?;
        let (start, total) = match answer.status() {
            StatusCode::OK => (0, answer.content_length()),
            StatusCode::PARTIAL_CONTENT => (have, range_total(&answer)),
            // Everything was there already: the range starts at the end.
            StatusCode::RANGE_NOT_SATISFIABLE if range_total(&answer) == Some(have) => return Ok(()),
            status => {
                return Err(Error::Refused {
                    url: url.to_string(),
                    status: status.as_u16(),
                });
            }
        };
        if let Some(total) = total {
            progress.begin(total);
        }
        if start == 0 {
            remember_validator(&validator_path, answer.headers()).await;
        }
        let mut file = fs::OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(start == 0)
            .append(start != 0)
            .open(partial)
            .await
            .map_err(failed(partial, "opening"))?;
        let mut got = start;
        let mut stream = answer.bytes_stream();
        while let Some(piece) = stream.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(source) => {
                    file.flush().await.map_err(failed(partial, "writing"))?;
                    return Err(broken(source));
                }
            };
            file.write_all(&piece).await.map_err(failed(partial, "writing"))?;
            got += piece.len() as u64;
            progress.at(got);
        }
        file.flush().await.map_err(failed(partial, "writing"))?;
        match total {
            Some(expected) if expected != got => Err(Error::Short {
                url: url.to_string(),
                got,
                expected,
            }),
            _ => Ok(()),
        }
    }
}

/// Compares what was found with what was promised.
fn checked(
    url: &str,
    measured: ImageManifest,
    wanted: Option<(Digest, String)>,
    published: Option<ImageManifest>,
) -> Result<ImageManifest, Error> {
    if let Some((expected, said_by)) = wanted.filter(|(wanted, _)| *wanted != measured.digest) {
        return Err(Error::WrongDigest {
            url: url.to_owned(),
            expected,
            said_by,
            found: measured.digest,
        });
    }
    let Some(published) = published else {
        return Ok(measured);
    };
    let differs = |field, found: String, expected: String| {
        Err(Error::WrongManifest {
            url: url.to_owned(),
            field,
            found,
            expected,
        })
    };
    if measured.digest != published.digest {
        return differs(
            "digest",
            measured.digest.to_string(),
            published.digest.to_string(),
        );
    }
    if measured.raw_size != published.raw_size {
        return differs(
            "rawSize",
            measured.raw_size.to_string(),
            published.raw_size.to_string(),
        );
    }
    Ok(measured)
}

/// Total size out of `Content-Range: bytes 5-9/10`.
fn range_total(answer: &Response) -> Option<u64> {
    let value = answer.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    value.rsplit_once('/')?.1.parse().ok()
}

fn validator_path(partial: &Path) -> PathBuf {
    partial.with_extension("validator")
}

/// Keeps what identifies the version on the server, so that halves of two versions are never joined.
async fn remember_validator(path: &Path, headers: &HeaderMap) {
    let strong = headers
        .get(ETAG)
        .and_then(|value| value.to_str().ok())
        .filter(|tag| !tag.starts_with("W/"));
    let validator = strong.or_else(|| headers.get(LAST_MODIFIED)?.to_str().ok());
    let kept = match validator {
        Some(validator) => fs::write(path, validator).await,
        None => fs::remove_file(path).await,
    };
    if let Err(error) = kept
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(error = %error, "a broken download of this image will start anew");
    }
}

async fn forget_validator(partial: &Path) {
    let path = validator_path(partial);
    if let Err(error) = fs::remove_file(&path).await
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(error = %error, "the validator of a finished download stays");
    }
}

async fn local_sidecars(path: &Path) -> Result<Sidecars, Error> {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let read = async |path: &Path| match fs::read(path).await {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path, "reading")(error)),
    };
    let (manifest_path, digest_path) = (beside(".manifest.json"), beside(".sha256"));
    let manifest = match read(&manifest_path).await? {
        Some(text) => Some(parse_manifest(&text, &manifest_path.to_string_lossy())?),
        None => None,
    };
    let file = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let digest = match read(&digest_path).await? {
        Some(text) => {
            let text = String::from_utf8_lossy(&text);
            Some(parse_digest(&text, &digest_path.to_string_lossy(), &file)?)
        }
        None => None,
    };
    Ok(Sidecars { digest, manifest })
}

/// Copies the file, as a reflink where the file system can: a link would let whoever rewrites the file in its place
/// change what is served under the old digest.
async fn take_local(path: &Path, partial: &Path, progress: &Progress) -> Result<(), Error> {
    let size = fs::metadata(path).await.map_err(failed(path, "examining"))?.len();
    progress.begin(size);
    match fs::remove_file(partial).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed(partial, "removing")(error));
        }
        _ => {}
    }
    fs::copy(path, partial).await.map_err(failed(path, "copying"))?;
    progress.at(size);
    Ok(())
}
