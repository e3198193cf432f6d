//! Keys of one member, read one page at a time.

use std::net::SocketAddr;
use std::time::Duration;

use crate::Error;
use crate::access::{Access, Checked};
use crate::peer::{Deadline, Peer};
use crate::protocol::{RangeRequest, RangeResponse};

/// Keys of one page. With values of the largest size that an API server writes (1.5 MiB) it still fits into an answer.
const PAGE: i64 = 64;
/// Largest answer that is taken.
const LARGEST: usize = 128 << 20;

/// Reads keys of one member. Reads go through its leader and a quorum.
#[derive(Debug)]
pub struct Keys {
    peer: Peer,
    limit: Duration,
}

/// A part of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Keys and values, in the order of the keys.
    pub entries: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether more keys come after these.
    pub more: bool,
}

impl Keys {
    /// Those of the member at the first of the endpoints. Nothing is sent.
    ///
    /// # Errors
    /// [`Error::Credentials`]; [`Error::NoAnswer`] without an endpoint.
    pub fn connect(access: Access) -> Result<Self, Error> {
        let (first, limit) = (access.endpoints.first().copied(), access.limit);
        let checked = Checked::new(access)?;
        let endpoint: SocketAddr = first.ok_or_else(|| Error::NoAnswer(Vec::new()))?;
        let peer = checked.peer(endpoint)?;
        Ok(Self { peer, limit })
    }

    /// How many keys begin with a prefix; all of them for an empty one.
    ///
    /// # Errors
    /// When the member does not answer, or refuses.
    pub async fn count(&self, prefix: &str) -> Result<u64, Error> {
        let request = RangeRequest {
            count_only: true,
            ..begins_with(prefix)
        };
        let answer = self.range(request, prefix).await?;
        Ok(u64::try_from(answer.count).unwrap_or(0))
    }

    /// The value of a key.
    ///
    /// # Errors
    /// When the member does not answer, or refuses.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let request = RangeRequest {
            key: key.as_bytes().to_vec(),
            ..RangeRequest::default()
        };
        let answer = self.range(request, key).await?;
        Ok(answer.kvs.into_iter().next().map(|found| found.value))
    }

    /// The first keys that begin with a prefix and come after a key.
    ///
    /// # Errors
    /// When the member does not answer, or refuses.
    pub async fn page(&self, prefix: &str, after: Option<&[u8]>) -> Result<Page, Error> {
        let mut request = RangeRequest {
            limit: PAGE,
            ..begins_with(prefix)
        };
        if let Some(after) = after {
            // The smallest key behind it.
            request.key = [after, &[0]].concat();
        }
        let answer = self.range(request, prefix).await?;
        let entries = answer.kvs.into_iter().map(|found| (found.key, found.value));
        Ok(Page {
            entries: entries.collect(),
            more: answer.more,
        })
    }

    async fn range(&self, request: RangeRequest, what: &str) -> Result<RangeResponse, Error> {
        let mut keys = self.peer.keys().max_decoding_message_size(LARGEST);
        let deadline = Deadline::after(self.limit);
        let answer = deadline.call(keys.range(request)).await;
        answer.map_err(|source| Error::Call {
            what: format!("read {what:?}"),
            endpoint: self.peer.address,
            source,
        })
    }
}

/// A range of all keys that begin with a prefix.
fn begins_with(prefix: &str) -> RangeRequest {
    let (key, range_end) = match prefix.as_bytes() {
        [] => (vec![0], vec![0]),
        [before @ .., last] => {
            // Prefixes are texts, whose bytes are below 255.
            let end = [before, &[last.saturating_add(1)]].concat();
            (prefix.as_bytes().to_vec(), end)
        }
    };
    RangeRequest {
        key,
        range_end,
        ..RangeRequest::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_the_keys_with_a_prefix() {
        let ends = |prefix: &str| {
            let request = begins_with(prefix);
            (request.key, request.range_end)
        };
        assert_eq!(ends("/a/"), (b"/a/".to_vec(), b"/a0".to_vec()));
        assert_eq!(ends(""), (vec![0], vec![0]));
    }
}
