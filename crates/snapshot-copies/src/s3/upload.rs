//! How a file gets into a bucket: small ones by one request, larger ones in parts. An object appears whole or not at all.

use std::io::SeekFrom;
use std::path::Path;

use reqwest::header::{CONTENT_LENGTH, ETAG};
use reqwest::{Body, StatusCode};
use rusty_s3::actions::CreateMultipartUpload;
use rusty_s3::{Credentials, S3Action as _};
use tokio::fs;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::{LIMIT, S3, refusal};
use crate::Error;

/// Bytes of the largest object that is sent by one request, and of a part.
const PART: u64 = 16 << 20;
/// Most parts of one object (Amazon S3, "Multipart upload limits").
const PARTS: u64 = 10_000;
/// Requests for one part, the first one included.
const TRIES: u32 = 3;

/// One object that is being written.
struct Upload<'a> {
    s3: &'a S3,
    key: &'a str,
    object: &'a str,
    credentials: &'a Credentials,
    from: &'a Path,
    size: u64,
}

impl S3 {
    pub(crate) async fn put(&self, key: &str, from: &Path) -> Result<(), Error> {
        let (object, credentials) = (self.object(key), self.credentials().await?);
        let metadata = fs::metadata(from).await.map_err(Error::file("look at", from))?;
        let size = metadata.len();
        let upload = Upload {
            s3: self,
            key,
            object: &object,
            credentials: &credentials,
            from,
            size,
        };
        match size > PART {
            false => upload.whole().await?,
            true => upload.in_parts().await?,
        }
        // What was acknowledged is there, whole.
        let url = self.bucket.head_object(Some(&credentials), &object).sign(LIMIT);
        let answer = self.ask(key, self.client()?.head(url)).await?;
        let length = answer.headers().get(CONTENT_LENGTH);
        let there = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if there != Some(size) {
            return Err(Error::Refused {
                place: self.url(key),
                status: answer.status().as_u16(),
                said: format!("{size} bytes were sent, and it has {}", there.unwrap_or(0)),
            });
        }
        Ok(())
    }
}

impl Upload<'_> {
    async fn whole(&self) -> Result<(), Error> {
        let action = self.s3.bucket.put_object(Some(self.credentials), self.object);
        let body = self.body(0, self.size).await?;
        let request = self.s3.client()?.put(action.sign(LIMIT));
        let request = request.header(CONTENT_LENGTH, self.size).body(body);
        self.s3.send(self.key, request, self.size).await.map(drop)
    }

    /// Parts that are not put together stay in the bucket and cost money, so they go when that fails.
    async fn in_parts(&self) -> Result<(), Error> {
        let bucket = &self.s3.bucket;
        let action = bucket.create_multipart_upload(Some(self.credentials), self.object);
        let answer = self
            .s3
            .ask(self.key, self.s3.client()?.post(action.sign(LIMIT)))
            .await?;
        let text = self.s3.text(self.key, answer).await?;
        let begun = CreateMultipartUpload::parse_response(&text).map_err(|error| Error::Refused {
            place: self.s3.url(self.key),
            status: StatusCode::OK.as_u16(),
            said: format!("it begins no upload in parts: {error}"),
        })?;
        let id = begun.upload_id();
        let sent = async { self.complete(id, &self.parts(id).await?).await };
        let sent = sent.await;
        if sent.is_err() {
            let action = bucket.abort_multipart_upload(Some(self.credentials), self.object, id);
            let aborted = self
                .s3
                .ask(self.key, self.s3.client()?.delete(action.sign(LIMIT)))
                .await;
            if let Err(error) = aborted {
                let place = self.s3.url(self.key);
                tracing::warn!(place, %error, "the parts of a copy that was not completed stay in the bucket");
            }
        }
        sent
    }

    /// Sends all parts; their tags.
    async fn parts(&self, id: &str) -> Result<Vec<String>, Error> {
        let length = part_length(self.size);
        let mut tags = Vec::new();
        let mut begin = 0;
        while begin < self.size {
            let number = u16::try_from(tags.len().saturating_add(1)).unwrap_or(u16::MAX);
            let length = length.min(self.size.saturating_sub(begin));
            tags.push(self.part(id, number, begin, length).await?);
            begin = begin.saturating_add(length);
        }
        Ok(tags)
    }

    /// Sends a part, again when the way there or the store fails.
    async fn part(&self, id: &str, number: u16, begin: u64, length: u64) -> Result<String, Error> {
        let mut tries = 1;
        loop {
            match self.part_once(id, number, begin, length).await {
                Err(error) if tries < TRIES && error.may_pass() => {
                    tracing::debug!(number, %error, "a part of a copy is sent again");
                    tries = tries.saturating_add(1);
                }
                other => return other,
            }
        }
    }

    async fn part_once(&self, id: &str, number: u16, begin: u64, length: u64) -> Result<String, Error> {
        let bucket = &self.s3.bucket;
        let action = bucket.upload_part(Some(self.credentials), self.object, number, id);
        let body = self.body(begin, length).await?;
        let request = self.s3.client()?.put(action.sign(LIMIT));
        let request = request.header(CONTENT_LENGTH, length).body(body);
        let answer = self.s3.send(self.key, request, length).await?;
        let tag = answer.headers().get(ETAG);
        let tag = tag.and_then(|tag| Some(tag.to_str().ok()?.to_owned()));
        tag.ok_or_else(|| Error::Refused {
            place: self.s3.url(self.key),
            status: answer.status().as_u16(),
            said: format!("it gives no tag for part {number}"),
        })
    }

    /// Puts the parts together. The store may find out that it can't after it has answered with 200.
    async fn complete(&self, id: &str, tags: &[String]) -> Result<(), Error> {
        let bucket = &self.s3.bucket;
        let tags = tags.iter().map(String::as_str);
        let action = bucket.complete_multipart_upload(Some(self.credentials), self.object, id, tags);
        let url = action.sign(LIMIT);
        let request = self.s3.client()?.post(url).body(action.body());
        let answer = self.s3.ask(self.key, request).await?;
        let status = answer.status();
        let text = self.s3.text(self.key, answer).await?;
        match text.contains("<Error>") {
            true => Err(refusal(self.s3.url(self.key), status, &text)),
            false => Ok(()),
        }
    }

    async fn body(&self, begin: u64, length: u64) -> Result<Body, Error> {
        let file = fs::File::open(self.from).await;
        let mut file = file.map_err(Error::file("open", self.from))?;
        let found = file.seek(SeekFrom::Start(begin)).await;
        found.map_err(Error::file("read", self.from))?;
        Ok(Body::wrap_stream(ReaderStream::new(file.take(length))))
    }
}

/// Bytes of each part but the last of an object of `size` bytes.
fn part_length(size: u64) -> u64 {
    PART.max(size.div_ceil(PARTS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_no_more_parts_than_a_store_takes() {
        assert_eq!(part_length(PART + 1), PART);
        assert_eq!(part_length(PARTS * PART), PART);
        assert_eq!(part_length(PARTS * PART + 1), PART + 1);
        for size in [PART + 1, 5 << 30, 8 << 30, 5 << 40] {
            assert!(size.div_ceil(part_length(size)) <= PARTS, "{size}");
        }
    }
}
