//! A gRPC channel to the socket of one process, which checks who listens at each connection.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

/// Connects.
///
/// # Errors
/// When nobody listens, or somebody else than the process.
pub(super) async fn connect(
    socket: PathBuf,
    pid: u32,
    call_limit: Duration,
) -> Result<Channel, tonic::transport::Error> {
    // No name is looked up: the connector decides.
    let endpoint = Endpoint::from_static("http://driver.invalid").timeout(call_limit);
    let connector = service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { open(&socket, pid).await.map(TokioIo::new) }
    });
    endpoint.connect_with_connector(connector).await
}

/// The owner of a unix socket is the process that called listen(2) on it.
async fn open(socket: &Path, pid: u32) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(socket).await?;
    let owner = stream
        .peer_cred()?
        .pid()
        .and_then(|owner| u32::try_from(owner).ok());
    if owner != Some(pid) {
        let found = owner.map_or_else(
            || "an unknown process".to_owned(),
            |owner| format!("process {owner}"),
        );
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "{found} listens on {} and not process {pid}, which was started",
                socket.display()
            ),
        ));
    }
    Ok(stream)
}
