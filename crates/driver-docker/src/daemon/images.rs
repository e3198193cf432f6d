//! Requests for images.

use driver::Fault;
use driver::v1::Reason;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde::Deserialize;

use super::connection::Daemon;
use super::model::Image;
use super::transport::{Outgoing, open, read, whole, with_body};

/// Longest line of progress that is read.
const LONGEST_LINE: usize = 1 << 20;

/// A line of the answer while an image is made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Progress {
    /// Why it failed.
    #[serde(default)]
    pub(crate) error: Option<String>,
    /// A layer of it.
    #[serde(default)]
    pub(crate) id: Option<String>,
    #[serde(default, rename = "progressDetail")]
    pub(crate) detail: Detail,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Detail {
    #[serde(default)]
    pub(crate) current: u64,
    #[serde(default)]
    pub(crate) total: u64,
}

impl Daemon {
    /// The image of a reference, which holds nothing that a path can't.
    pub(crate) async fn image(&self, reference: &str) -> Result<Option<Image>, Fault> {
        let path = self.path(&format!("/images/{reference}/json"), &[]);
        let answer = self
            .ask(Method::GET, &path, None)
            .await
            .map_err(Fault::without_effect)?;
        match answer.status {
            StatusCode::OK => answer.read().map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(answer.unexpected().without_effect()),
        }
    }

    /// Takes a name from an image, and removes it when it was the last one.
    pub(crate) async fn remove_image(&self, reference: &str) -> Result<(), Fault> {
        let path = self.path(&format!("/images/{reference}"), &[]);
        let answer = self.ask(Method::DELETE, &path, None).await?;
        match answer.status {
            StatusCode::OK | StatusCode::NOT_FOUND => Ok(()),
            _ => Err(answer.unexpected()),
        }
    }

    /// Makes an image of an archive of a root file system. It gets its name when it is complete.
    pub(crate) async fn import(
        &self,
        (repository, tag): (&str, &str),
        changes: &[String],
        archive: Outgoing,
    ) -> Result<(), Fault> {
        let mut query = vec![("fromSrc", "-"), ("repo", repository), ("tag", tag)];
        query.extend(changes.iter().map(|change| ("changes", change.as_str())));
        self.make(&query, archive, |_| {}).await
    }

    /// Pulls an image from its registry. It gets its name when it is complete.
    pub(crate) async fn pull(&self, reference: &str, progress: impl FnMut(&Progress)) -> Result<(), Fault> {
        // A reference without a tag would pull every tag.
        let last = reference.rsplit('/').next().unwrap_or_default();
        let tag = if last.contains([':', '@']) { "" } else { ":latest" };
        let from = format!("{reference}{tag}");
        self.make(
            &[("fromImage", from.as_str())],
            whole(bytes::Bytes::new()),
            progress,
        )
        .await
    }

    /// The answer is a line of JSON for each piece of progress, and an error is one of these lines.
    async fn make(
        &self,
        query: &[(&str, &str)],
        body: Outgoing,
        mut progress: impl FnMut(&Progress),
    ) -> Result<(), Fault> {
        let path = self.path("/images/create", query);
        let request = with_body(Method::POST, &path, "application/x-tar", body)?;
        let response = open(&self.socket, request).await?;
        if response.status() != StatusCode::OK {
            let answer = read(&self.socket, response).await?;
            return Err(match answer.status {
                StatusCode::NOT_FOUND => answer.fault(Reason::ImageMissing),
                _ => answer.unexpected(),
            });
        }
        let mut body = response.into_body();
        let mut rest = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                Fault::new(Reason::Unreachable, format!("{}: {error}", self.socket.display()))
            })?;
            rest.extend_from_slice(&frame.into_data().unwrap_or_default());
            tell(&mut rest, &mut progress)?;
            if rest.len() > LONGEST_LINE {
                return Err(failed("a line of progress that does not end"));
            }
        }
        // The last line may come without its end.
        rest.push(b'\n');
        tell(&mut rest, &mut progress)
    }
}

fn failed(text: &str) -> Fault {
    Fault::new(Reason::TaskFailed, format!("the Docker daemon says: {text}"))
}

/// Tells of the lines that are complete, and fails at one that is an error.
fn tell(rest: &mut Vec<u8>, progress: &mut impl FnMut(&Progress)) -> Result<(), Fault> {
    for line in lines(rest) {
        progress(&line);
        if let Some(error) = line.error {
            return Err(failed(&error));
        }
    }
    Ok(())
}

/// Takes the lines that are complete. Those that are no progress are passed over.
fn lines(rest: &mut Vec<u8>) -> Vec<Progress> {
    let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else {
        return Vec::new();
    };
    let complete: Vec<u8> = rest.drain(..=end).collect();
    complete
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn lines_come_in_pieces() {
        let mut rest = Vec::new();
        rest.extend_from_slice(b"{\"status\":\"Pulling\"}\r\n{\"id\":\"l1\",\"progressDet");
        assert_eq!(lines(&mut rest).len(), 1);
        assert!(lines(&mut rest).is_empty());
        rest.extend_from_slice(b"ail\":{\"current\":3,\"total\":9}}\r\n{\"error\":\"no space\"}\r\n");
        let found = lines(&mut rest);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].detail.current, found[0].detail.total), (3, 9));
        assert_eq!(found[1].error.as_deref(), Some("no space"));
        assert!(rest.is_empty());
    }
}
