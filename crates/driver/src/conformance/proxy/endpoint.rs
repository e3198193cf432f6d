//! Where a provider listens, and where the proxy in front of it does: the same kind of place.

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use http::Uri;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use uuid::Uuid;

/// What a URL of a unix socket begins with.
const UNIX: &str = "unix://";

/// A connection of either kind.
pub(super) trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// A provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Upstream {
    /// Host and port.
    Tcp(String),
    /// Path of the socket.
    Unix(PathBuf),
}

impl FromStr for Upstream {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        if let Some(path) = url.strip_prefix(UNIX) {
            return Ok(Self::Unix(path.into()));
        }
        let uri: Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
        if uri.scheme_str() != Some("http") {
            return Err(format!("{url}: the proxy speaks HTTP without TLS only"));
        }
        let authority = uri.authority().ok_or_else(|| format!("{url} names no host"))?;
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self::Tcp(format!("{}:{port}", authority.host())))
    }
}

impl Upstream {
    /// The header `Host` of requests to it; none where any will do.
    pub(super) fn host(&self) -> Option<&str> {
        match self {
            Self::Tcp(address) => Some(address),
            Self::Unix(_) => None,
        }
    }

    pub(super) async fn connect(&self) -> io::Result<Box<dyn Connection>> {
        Ok(match self {
            Self::Tcp(address) => Box::new(TcpStream::connect(address).await?),
            Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
        })
    }
}

/// Where the proxy listens.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// A place of the same kind, and its URL.
    pub(super) async fn beside(upstream: &Upstream, directory: &Path) -> Result<(Self, String), String> {
        match upstream {
            Upstream::Tcp(_) => {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await;
                let listener = listener.map_err(|error| error.to_string())?;
                let own = listener.local_addr().map_err(|error| error.to_string())?;
                Ok((Self::Tcp(listener), format!("http://{own}")))
            }
            Upstream::Unix(_) => {
                // Short, because the path of a socket has 107 bytes at most.
                let name = Uuid::new_v4().simple().to_string();
                let path = directory.join(format!("proxy-{}", name.get(..8).unwrap_or_default()));
                let listener = UnixListener::bind(&path);
                let listener = listener.map_err(|error| format!("{}: {error}", path.display()))?;
                Ok((Self::Unix(listener), format!("{UNIX}{}", path.display())))
            }
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Box<dyn Connection>> {
        Ok(match self {
            Self::Tcp(listener) => Box::new(listener.accept().await?.0),
            Self::Unix(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Upstream;

    #[test]
    fn a_url_names_either_kind_of_place() {
        for (url, wanted) in [
            (
                "http://127.0.0.1:8080",
                Some(Upstream::Tcp("127.0.0.1:8080".to_owned())),
            ),
            ("http://peer", Some(Upstream::Tcp("peer:80".to_owned()))),
            (
                "unix:///run/docker.sock",
                Some(Upstream::Unix("/run/docker.sock".into())),
            ),
            ("https://127.0.0.1", None),
            ("/run/docker.sock", None),
        ] {
            assert_eq!(url.parse::<Upstream>().ok(), wanted, "{url}");
        }
    }
}
