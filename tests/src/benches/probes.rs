//! Clients that ask from before a server starts until they are answered: DHCP, TFTP, HTTP and the Kubernetes API.
//!
//! Each runs on a thread of its own in its namespace. The DHCP message is written by hand: it is one, and its bytes do
//! not change.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use super::boot_files::LOADER;
use super::cable::{CLIENT_LINK, Cable, SERVER};

/// The machine that asks.
pub(super) const MAC: [u8; 6] = [0x02, 0, 0, 0, 0xb1, 0x01];
/// The address that is reserved for it.
pub(super) const RESERVED: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 50);
/// Between two questions.
const AGAIN: Duration = Duration::from_millis(2);
/// A server that does not answer within this is broken.
const LIMIT: Duration = Duration::from_secs(60);
const TRANSACTION: [u8; 4] = [0xb1, 0x1b, 0xb1, 0x1b];
const OFFER: [u8; 3] = [53, 1, 2];

/// A client that is asking; its answer is the moment of the first good reply.
pub(super) struct Asking(JoinHandle<io::Result<Instant>>);

impl Asking {
    /// Waits for the reply; milliseconds since `began`.
    pub(super) fn since(self, began: Instant) -> anyhow::Result<f64> {
        let answered = self
            .0
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("a client panicked")))?;
        Ok(answered.saturating_duration_since(began).as_secs_f64() * 1e3)
    }
}

fn ask(
    namespace: &str,
    what: &'static str,
    mut attempt: impl FnMut() -> io::Result<bool> + Send + 'static,
) -> Asking {
    let namespace = namespace.to_owned();
    Asking(std::thread::spawn(move || {
        lab::in_namespace(&namespace, move || {
            let end = Instant::now() + LIMIT;
            while Instant::now() < end {
                if attempt()? {
                    return Ok(Instant::now());
                }
            }
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("no {what}")))
        })
    }))
}

/// Sends DISCOVERs until an OFFER of the reserved address comes.
pub(super) fn dhcp(cable: &Cable) -> Asking {
    let mut socket = None;
    ask(&cable.client, "DHCP offer", move || {
        let socket = match &socket {
            Some(socket) => socket,
            None => socket.insert(dhcp_socket()?),
        };
        socket.send_to(&discover(), (Ipv4Addr::BROADCAST, 67))?;
        let mut reply = [0; 1500];
        match socket.recv(&mut reply) {
            Ok(length) => Ok(is_offer(&reply[..length])),
            Err(error) if is_later(&error) => Ok(false),
            Err(error) => Err(error),
        }
    })
}

fn dhcp_socket() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 68))?;
    socket.set_broadcast(true)?;
    setsockopt(&socket, sockopt::BindToDevice, &OsString::from(CLIENT_LINK))?;
    socket.set_read_timeout(Some(AGAIN))?;
    Ok(socket)
}

/// A DISCOVER that wants its answer by broadcast (RFC 2131, 4.1).
fn discover() -> Vec<u8> {
    let mut message = vec![0; 240];
    message[..4].copy_from_slice(&[1, 1, 6, 0]);
    message[4..8].copy_from_slice(&TRANSACTION);
    message[10] = 0x80;
    message[28..34].copy_from_slice(&MAC);
    message[236..].copy_from_slice(&[99, 130, 83, 99]);
    message.extend([53, 1, 1, 55, 3, 1, 3, 6, 255]);
    message
}

fn is_offer(reply: &[u8]) -> bool {
    reply.len() > 240
        && reply[0] == 2
        && reply[4..8] == TRANSACTION
        && reply[16..20] == RESERVED.octets()
        && reply[240..].windows(3).any(|option| option == OFFER)
}

/// Asks for a boot loader until its first block comes (RFC 1350).
pub(super) fn tftp(cable: &Cable) -> Asking {
    ask(&cable.client, "TFTP block", || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_read_timeout(Some(AGAIN))?;
        let request = [b"\0\x01", LOADER.0.as_bytes(), b"\0octet\0"].concat();
        socket.send_to(&request, (SERVER, 69))?;
        let mut reply = [0; 600];
        match socket.recv(&mut reply) {
            Ok(length) => Ok(length == 516 && reply[..4] == [0, 3, 0, 1]),
            Err(error) if is_later(&error) => Ok(false),
            Err(error) => Err(error),
        }
    })
}

/// Asks for the head of a boot loader until `200 OK` comes.
pub(super) fn http(cable: &Cable, port: u16) -> Asking {
    let address = SocketAddr::from((SERVER, port));
    ask(&cable.client, "HTTP answer", move || {
        let get = || -> io::Result<bool> {
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            write!(
                stream,
                "HEAD /boot/{} HTTP/1.1\r\nHost: {address}\r\n\r\n",
                LOADER.0
            )?;
            let mut reply = [0; 15];
            stream.read_exact(&mut reply)?;
            Ok(reply == *b"HTTP/1.1 200 OK")
        };
        // Whatever goes wrong, it goes wrong because the server is not there yet.
        let answered = get().unwrap_or(false);
        if !answered {
            std::thread::sleep(AGAIN);
        }
        Ok(answered)
    })
}

/// Asks for the API's version until it is told, then carries out `then` (which is not counted).
pub(super) fn api(
    namespace: &str,
    connect: impl AsyncFn() -> anyhow::Result<kube::Client> + Send + 'static,
    then: impl AsyncFn(kube::Client) -> anyhow::Result<()> + Send + 'static,
) -> Asking {
    let namespace = namespace.to_owned();
    Asking(std::thread::spawn(move || {
        lab::in_namespace(&namespace, move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let end = Instant::now() + LIMIT;
                let mut last = String::new();
                while Instant::now() < end {
                    let asked = async {
                        let client = connect().await?;
                        client.apiserver_version().await?;
                        anyhow::Ok(client)
                    };
                    match asked.await {
                        Ok(client) => {
                            let answered = Instant::now();
                            then(client).await.map_err(io::Error::other)?;
                            return Ok(answered);
                        }
                        Err(error) => last = format!("{error:#}"),
                    }
                    tokio::time::sleep(AGAIN).await;
                }
                Err(io::Error::new(io::ErrorKind::TimedOut, last))
            })
        })
    }))
}

/// Nothing came within the time of one question, or nobody listens yet.
fn is_later(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_for_us() {
        let mut reply = discover();
        assert!(!is_offer(&reply), "a DISCOVER is none");
        reply[0] = 2;
        reply[242] = 2;
        assert!(!is_offer(&reply), "another address");
        reply[16..20].copy_from_slice(&RESERVED.octets());
        assert!(is_offer(&reply));
    }
}
