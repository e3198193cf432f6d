//! One member at one address: calls with a deadline, and their failures by type.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{ConnectError, Request, Response, Status};

use crate::Failure;
use crate::protocol::cluster_client::ClusterClient;
use crate::protocol::kv_client::KvClient;
use crate::protocol::maintenance_client::MaintenanceClient;

/// A connection to one member.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    channel: Channel,
}

/// Until when an answer is awaited.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    end: Instant,
    limit: Duration,
}

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        Self {
            end: Instant::now() + limit,
            limit,
        }
    }

    /// The answer to one call.
    pub(crate) async fn call<T>(
        self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        self.part(call).await.map(Response::into_inner)
    }

    /// The next part of an answer.
    pub(crate) async fn part<T>(self, part: impl Future<Output = Result<T, Status>>) -> Result<T, Failure> {
        match tokio::time::timeout_at(self.end, part).await {
            Ok(answer) => answer.map_err(|status| failure(&status)),
            Err(_) => Err(Failure::Silent(self.limit)),
        }
    }
}

impl Peer {
    pub(crate) fn new(address: SocketAddr, channel: Channel) -> Self {
        Self { address, channel }
    }

    pub(crate) fn keys(&self) -> KvClient<Channel> {
        KvClient::new(self.channel.clone())
    }

    pub(crate) fn cluster(&self) -> ClusterClient<Channel> {
        ClusterClient::new(self.channel.clone())
    }

    pub(crate) fn maintenance(&self) -> MaintenanceClient<Channel> {
        MaintenanceClient::new(self.channel.clone())
    }
}

/// A request that a member without a leader refuses at once; else it would wait for one.
pub(crate) fn led<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("hasleader", MetadataValue::from_static("true"));
    request
}

/// A status that a member sent has no cause; one that was made here has.
fn failure(status: &Status) -> Failure {
    let Some(cause) = status.source() else {
        return Failure::Refused(status.message().to_owned());
    };
    let chain = || std::iter::successors(Some(cause), |error| (*error).source());
    if let Some(why) = chain().find_map(invalid_certificate) {
        return Failure::Untrusted(why.to_string());
    }
    let text = causes::line(cause);
    if chain().any(|error| error.is::<ConnectError>()) {
        Failure::Unreachable(text)
    } else {
        Failure::Closed(text)
    }
}

fn invalid_certificate<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a rustls::CertificateError> {
    let inner = error.downcast_ref::<io::Error>()?.get_ref()?;
    match inner.downcast_ref()? {
        rustls::Error::InvalidCertificate(why) => Some(why),
        _ => None,
    }
}
