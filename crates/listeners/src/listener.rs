//! The accept loops: each connection gets a place, or is closed.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use socket2::SockRef;
use tokio::io::AsyncBufReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::connection::{Connection, Serve};
use crate::gate::{Gate, Voucher};
use crate::limits::Limits;
use crate::pace::Pace;
use crate::stream::{Watched, set_options, set_stall};

/// What running requests get when the service stops.
const DRAIN: Duration = Duration::from_secs(3);
/// Pause after `accept` failed, for example for lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Ended connections are let go at the next accept, or after so long: to wake for each costs more than to keep it.
const REAP: Duration = Duration::from_secs(1);

/// Connections that may wait to be accepted. Machines that start together come together; one that finds no room is reset
/// or tries again only after a second. `net.core.somaxconn` bounds it.
const BACKLOG: u32 = 4096;

/// Listens on a TCP address, with room for a storm of connections. Call it within a tokio runtime.
///
/// # Errors
/// What the system says, such as an address that is in use.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    set_options(&SockRef::from(&socket));
    socket.listen(BACKLOG)
}

/// The peer of a connection.
#[derive(Debug)]
pub struct Peer<'a> {
    /// Its address.
    pub address: SocketAddr,
    /// Its certificates, verified by TLS; the first is its own. Empty when it showed none.
    pub certificates: &'a [CertificateDer<'static>],
    /// For a service that finds out later who it is.
    pub voucher: Voucher,
}

/// Serves plain HTTP/1.1 until `cancel`, then lets running responses end for 3 s. `service` makes the service of a
/// connection; a peer for whom it makes none is closed.
pub async fn run_http<M, S>(
    listener: TcpListener,
    gate: Gate,
    limits: Limits,
    service: M,
    cancel: CancellationToken,
) where
    M: Fn(Peer<'_>) -> Option<S> + Clone + Send + Sync + 'static,
    S: Serve,
{
    let serve = move |stream, address, connection| plain(stream, address, connection, service.clone());
    accept(listener, gate, limits, serve, cancel).await;
}

/// Serves HTTP/1.1 or HTTP/2 over TLS, as ALPN says; otherwise like [`run_http`].
pub async fn run_tls<M, S>(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    gate: Gate,
    limits: Limits,
    service: M,
    cancel: CancellationToken,
) where
    M: Fn(Peer<'_>) -> Option<S> + Clone + Send + Sync + 'static,
    S: Serve,
{
    let acceptor = TlsAcceptor::from(tls);
    let serve = move |stream, address, connection| {
        encrypted(stream, address, connection, acceptor.clone(), service.clone())
    };
    accept(listener, gate, limits, serve, cancel).await;
}

async fn plain<M, S>(stream: TcpStream, address: SocketAddr, connection: Connection, service: M)
where
    M: Fn(Peer<'_>) -> Option<S>,
    S: Serve,
{
    let stream = watched(stream, &connection);
    let mut ending = pin!(connection.ending());
    // A silent peer costs no more than this until then.
    let readable = connection.within(stream.readable(), ending.as_mut()).await;
    if !matches!(readable, Some(Ok(()))) {
        return;
    }
    let peer = Peer {
        address,
        certificates: &[],
        voucher: Voucher(Arc::downgrade(&connection.place)),
    };
    if let Some(service) = service(peer) {
        connection.http1(stream, service, ending).await;
    }
}

async fn encrypted<M, S>(
    stream: TcpStream,
    address: SocketAddr,
    connection: Connection,
    acceptor: TlsAcceptor,
    service: M,
) where
    M: Fn(Peer<'_>) -> Option<S>,
    S: Serve,
{
    let stream = watched(stream, &connection);
    let mut ending = pin!(connection.ending());
    let greeted = async {
        stream.readable().await?;
        let mut stream = acceptor.accept(stream).await.inspect_err(|error| {
            // A peer that only goes away again tried nothing.
            if error.kind() == ErrorKind::InvalidData {
                connection.place.handshake_failed(address.ip());
            }
        })?;
        // HTTP costs memory only once the peer says something.
        stream.fill_buf().await?;
        Ok::<_, std::io::Error>(stream)
    };
    let stream = match connection.within(greeted, ending.as_mut()).await {
        Some(Ok(stream)) => stream,
        Some(Err(error)) => {
            let listener = connection.place.listener();
            tracing::debug!(listener, peer = %address, %error, "a connection ended before its first request");
            return;
        }
        None => return,
    };
    let session = stream.get_ref().1;
    let peer = Peer {
        address,
        certificates: session.peer_certificates().unwrap_or_default(),
        voucher: Voucher(Arc::downgrade(&connection.place)),
    };
    let http2 = session.alpn_protocol() == Some(b"h2");
    match service(peer) {
        Some(service) if http2 => connection.http2(stream, service, ending).await,
        Some(service) => connection.http1(stream, service, ending).await,
        None => {}
    }
}

fn watched(stream: TcpStream, connection: &Connection) -> Watched {
    let Connection {
        pace, place, sending, ..
    } = connection;
    Watched::new(stream, pace.clone(), place.clone(), sending.clone())
}

async fn accept<F, R>(listener: TcpListener, gate: Gate, limits: Limits, serve: F, cancel: CancellationToken)
where
    F: Fn(TcpStream, SocketAddr, Connection) -> R + Clone,
    R: Future<Output = ()> + Send + 'static,
{
    let socket = SockRef::from(&listener);
    set_options(&socket);
    set_stall(&socket, limits.stall_of(true));
    let mut connections = JoinSet::new();
    let mut reap = interval(REAP);
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = cancel.cancelled() => break,
            accepted = listener.accept() => accepted,
            _ = reap.tick(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok((stream, address)) => {
                let Some(place) = gate.enter(address.ip()) else {
                    continue;
                };
                if !place.is_known() {
                    if stream.local_addr().is_ok_and(|own| own.ip() == address.ip()) {
                        // A program on this machine, by whichever address.
                        place.vouch();
                    } else {
                        set_stall(&SockRef::from(&stream), limits.stall_of(false));
                    }
                }
                let connection = Connection {
                    limits,
                    pace: Arc::new(Pace::new(Instant::now())),
                    place: Arc::new(place),
                    sending: Arc::default(),
                    cancel: cancel.clone(),
                };
                connections.spawn(serve(stream, address, connection));
            }
            Err(error) => {
                let listener = gate.listener();
                tracing::warn!(listener, %error, "a connection cannot be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, ended).await.is_err() {
        connections.shutdown().await;
    }
}
