//! Where a bundle lies: a folder of this machine, or below a URL.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, RANGE};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, SeekFrom};
use url::Url;

use crate::error::{Error, failed};

/// Bytes that are copied at once.
const PIECE: usize = 1 << 20;

/// A place with a bundle.
#[derive(Debug, Clone)]
pub enum Source {
    /// A folder.
    Folder(PathBuf),
    /// Below a URL, with the client that asks for it.
    Web(Url, reqwest::Client),
}

impl Source {
    /// From what a person writes: an `http` or `https` URL, else a folder. Proxies come from the environment.
    ///
    /// # Errors
    /// If it is neither.
    pub fn parse(text: &str) -> Result<Source, Error> {
        if text.starts_with("http://") || text.starts_with("https://") {
            let wrong = |_| Error::Source {
                text: text.to_owned(),
            };
            let mut url = Url::parse(text).map_err(wrong)?;
            if !url.path().ends_with('/') {
                url.set_path(&format!("{}/", url.path()));
            }
            let client = reqwest::Client::builder()
                .connect_timeout(Duration::from_secs(20))
                .read_timeout(Duration::from_secs(60))
                .build()
                .map_err(Error::Client)?;
            return Ok(Source::Web(url, client));
        }
        let folder = PathBuf::from(text);
        if !folder.is_dir() {
            return Err(Error::Source {
                text: text.to_owned(),
            });
        }
        Ok(Source::Folder(folder))
    }

    /// Path or URL of a file, for messages.
    #[must_use]
    pub fn place(&self, path: &str) -> String {
        match self {
            Source::Folder(folder) => folder.join(path).display().to_string(),
            Source::Web(url, _) => below(url, path).to_string(),
        }
    }

    /// A small file, or `None` where there is none.
    pub(crate) async fn small(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let too_long = || Error::TooLong {
            place: self.place(path),
            limit,
        };
        let mut octets = Vec::new();
        match self {
            Source::Folder(folder) => {
                let place = folder.join(path);
                let file = match File::open(&place).await {
                    Ok(file) => file,
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(failed(&place, "reading")(error)),
                };
                let read = file.take(limit + 1).read_to_end(&mut octets).await;
                read.map_err(failed(&place, "reading"))?;
            }
            Source::Web(url, client) => {
                let url = below(url, path);
                let answer = client.get(url.clone()).send().await.map_err(broken(&url))?;
                match answer.status() {
                    StatusCode::OK => {}
                    StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::GONE => return Ok(None),
                    status => return Err(refused(&url, status)),
                }
                let mut stream = answer.bytes_stream();
                while let Some(piece) = stream.next().await {
                    octets.extend_from_slice(&piece.map_err(broken(&url))?);
                    if octets.len() as u64 > limit {
                        return Err(too_long());
                    }
                }
            }
        }
        if octets.len() as u64 > limit {
            return Err(too_long());
        }
        Ok(Some(octets))
    }

    /// Writes the file behind what `partial` has of it, and tells `progress` how many bytes are there. Reads no more than `size`
    /// bytes and one.
    pub(crate) async fn append(
        &self,
        path: &str,
        size: u64,
        partial: &Path,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<u64, Error> {
        let have = fs::metadata(partial).await.map_or(0, |metadata| metadata.len());
        if have >= size {
            return Ok(have);
        }
        match self {
            Source::Folder(folder) => copy(&folder.join(path), have, size, partial, progress).await,
            Source::Web(url, client) => {
                let url = below(url, path);
                download(client, &url, have, size, partial, progress).await
            }
        }
    }
}

async fn copy(
    from: &Path,
    have: u64,
    size: u64,
    partial: &Path,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<u64, Error> {
    let mut input = File::open(from).await.map_err(failed(from, "reading"))?;
    input
        .seek(SeekFrom::Start(have))
        .await
        .map_err(failed(from, "reading"))?;
    let mut output = opened(partial, have).await?;
    let mut got = have;
    let mut piece = vec![0; PIECE];
    while got <= size {
        let count = input.read(&mut piece).await.map_err(failed(from, "reading"))?;
        let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else {
            break;
        };
        output.write_all(read).await.map_err(failed(partial, "writing"))?;
        got += read.len() as u64;
        progress(got);
    }
    output.flush().await.map_err(failed(partial, "writing"))?;
    Ok(got)
}

/// Asks for what is missing (RFC 9110 §14.2); a server that gives the whole file all the same is taken at its word.
async fn download(
    client: &reqwest::Client,
    url: &Url,
    have: u64,
    size: u64,
    partial: &Path,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<u64, Error> {
    let mut request = client.get(url.clone());
    if have > 0 {
        request = request.header(RANGE, format!("bytes={have}-"));
    }
    let answer = request.send().await.map_err(broken(url))?;
    let start = match answer.status() {
        StatusCode::OK => 0,
        StatusCode::PARTIAL_CONTENT if starts_at(&answer, have) => have,
        status => return Err(refused(url, status)),
    };
    let mut output = opened(partial, start).await?;
    let mut got = start;
    let mut stream = answer.bytes_stream();
    while let Some(piece) = stream.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => {
                output.flush().await.map_err(failed(partial, "writing"))?;
                return Err(broken(url)(error));
            }
        };
        output
            .write_all(&piece)
            .await
            .map_err(failed(partial, "writing"))?;
        got += piece.len() as u64;
        progress(got);
        if got > size {
            break;
        }
    }
    output.flush().await.map_err(failed(partial, "writing"))?;
    Ok(got)
}

/// The partial file with its first `keep` bytes, ready to be continued.
async fn opened(partial: &Path, keep: u64) -> Result<File, Error> {
    fs::OpenOptions::new()
        .create(true)
        .truncate(keep == 0)
        .write(true)
        .append(keep != 0)
        .open(partial)
        .await
        .map_err(failed(partial, "opening"))
}

fn starts_at(answer: &reqwest::Response, start: u64) -> bool {
    let range = answer.headers().get(CONTENT_RANGE);
    let range = range.and_then(|range| range.to_str().ok()).unwrap_or_default();
    range.starts_with(&format!("bytes {start}-"))
}

/// The URL of a file; `url` ends with a slash.
fn below(url: &Url, path: &str) -> Url {
    let mut file = url.clone();
    file.set_path(&format!("{}{path}", url.path()));
    file
}

/// For `map_err`.
fn broken(url: &Url) -> impl FnOnce(reqwest::Error) -> Error {
    let url = url.to_string();
    move |source| Error::Fetch { url, source }
}

fn refused(url: &Url, status: StatusCode) -> Error {
    Error::Refused {
        url: url.to_string(),
        status: status.as_u16(),
    }
}
