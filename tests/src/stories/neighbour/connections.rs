//! Floods of TCP connections: silent ones on the HTTP port, idle ones after their TLS handshake on the agent endpoint and on the
//! API, and new ones as long as it lasts.

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use socket2::{Domain, Socket, Type};

use super::addresses::{NEIGHBOURS, SERVER, neighbour};
use crate::namespace::ClientNamespace;
use crate::site_name::SITE;
use crate::waiting::until;

/// Silent connections of each address.
const SILENT: usize = 16;
/// Idle TLS connections of each address and listener.
const IDLE: usize = 8;
/// Between two new connections while the flood goes on.
const PACE: Duration = Duration::from_millis(5);
/// New connections that are kept.
const KEPT: usize = 2000;
const CONNECT: Duration = Duration::from_secs(10);
/// By then the last one is closed; a silent connection has 10 s.
const CLOSED: Duration = Duration::from_secs(40);

/// A flood that goes on.
pub(super) struct Flood {
    open: Vec<TcpStream>,
    stop: Arc<AtomicBool>,
    /// Gives those that it opened.
    going_on: JoinHandle<anyhow::Result<Vec<TcpStream>>>,
}

impl Flood {
    pub(super) fn start(
        network: &ClientNamespace,
        api: SocketAddr,
        tls: &Arc<ClientConfig>,
    ) -> anyhow::Result<Flood> {
        let agents = SocketAddr::from((SERVER, 7443));
        let open = network.inside(|| {
            let mut open = silent();
            let count = open.len();
            ensure!(count > 1000, "only {count} silent connections came about");
            for listener in [agents, api] {
                let idle = idle(listener, tls);
                ensure!(idle.len() > 500, "only {} TLS connections came about", idle.len());
                open.extend(idle);
            }
            println!(
                "{count} silent connections, {} idle after TLS",
                open.len() - count
            );
            Ok(open)
        })??;
        let stop = Arc::new(AtomicBool::new(false));
        let (end, namespace) = (stop.clone(), network.file()?);
        let going_on = std::thread::spawn(move || {
            namespace.enter()?;
            let mut open = Vec::new();
            let sources = NEIGHBOURS.map(neighbour).cycle();
            let listeners = [SocketAddr::from((SERVER, 7080)), agents, api]
                .into_iter()
                .cycle();
            for (source, listener) in sources.zip(listeners) {
                if end.load(Ordering::Relaxed) {
                    break;
                }
                open.extend(self::open(source, listener));
                if open.len() > KEPT {
                    open.remove(0);
                }
                std::thread::sleep(PACE);
            }
            Ok(open)
        });
        Ok(Flood { open, stop, going_on })
    }

    /// Ends the flood and waits until the appliance has closed every connection.
    pub(super) async fn closed(mut self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let going_on = self.going_on.join().ok().context("the flood panicked")?;
        self.open.extend(going_on?);
        for stream in &self.open {
            stream.set_nonblocking(true)?;
        }
        until("the silent connections are closed", CLOSED, || async {
            let open = self.open.iter().filter(|stream| is_open(stream)).count();
            if open == 0 {
                Ok(())
            } else {
                Err(format!("{open} are open"))
            }
        })
        .await
    }
}

/// A connection from an address.
pub(super) fn open(source: Ipv4Addr, to: SocketAddr) -> anyhow::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.connect_timeout(&to.into(), CONNECT)?;
    Ok(socket.into())
}

fn silent() -> Vec<TcpStream> {
    let hosts = NEIGHBOURS.map(neighbour);
    let each = |host| std::iter::repeat_n(host, SILENT);
    let http = SocketAddr::from((SERVER, 7080));
    hosts.flat_map(each).flat_map(|host| open(host, http)).collect()
}

/// Connections whose handshake came about, and on which nothing follows.
fn idle(to: SocketAddr, tls: &Arc<ClientConfig>) -> Vec<TcpStream> {
    let hosts = NEIGHBOURS.map(neighbour);
    let each = |host| std::iter::repeat_n(host, IDLE);
    let greet = |host| -> anyhow::Result<TcpStream> {
        let mut stream = open(host, to)?;
        stream.set_read_timeout(Some(CONNECT))?;
        let mut connection = ClientConnection::new(tls.clone(), ServerName::try_from(SITE)?)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(stream)
    };
    hosts.flat_map(each).flat_map(greet).collect()
}

fn is_open(mut stream: &TcpStream) -> bool {
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}
