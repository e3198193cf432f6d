//! An HTTP/1.1 client that takes little of a core: it reads into one buffer and looks at what it needs of a head.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// A server that does not answer within this is broken.
const LIMIT: Duration = Duration::from_secs(60);
/// Bytes that are read at once.
const BUFFER: usize = 64 << 10;
/// The window of a connection, which is that of iPXE. Windows that grow would fill the kernel's memory for TCP when a
/// thousand connections are open.
const WINDOW: u32 = 256 << 10;

/// A connection.
pub(super) struct Connection<S> {
    stream: S,
    buffer: Vec<u8>,
    /// What of the buffer was read and not used yet.
    from: usize,
    to: usize,
}

/// How a body's end is known.
#[derive(Debug, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
}

/// The request for a file; with `close` the server closes the connection behind its answer.
pub(super) fn get(path: &str, close: bool) -> Vec<u8> {
    let connection = if close { "Connection: close\r\n" } else { "" };
    format!("GET {path} HTTP/1.1\r\nHost: server\r\n{connection}\r\n").into_bytes()
}

/// Connects from an address.
pub(super) async fn connect(from: Ipv4Addr, to: SocketAddr) -> anyhow::Result<Connection<TcpStream>> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(WINDOW)?;
    socket.bind(SocketAddr::from((from, 0)))?;
    let stream = tokio::time::timeout(LIMIT, socket.connect(to)).await??;
    stream.set_nodelay(true)?;
    Ok(Connection::new(stream))
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(stream: S) -> Connection<S> {
        Connection {
            stream,
            buffer: vec![0; BUFFER],
            from: 0,
            to: 0,
        }
    }

    /// Sends a request and hands over the body of the answer as it comes; gives the status.
    pub(super) async fn ask(&mut self, request: &[u8], body: impl FnMut(&[u8])) -> anyhow::Result<u16> {
        tokio::time::timeout(LIMIT, self.exchange(request, body))
            .await
            .context("no whole answer")?
    }

    /// As [`Connection::ask`], for a status of 2xx and with the whole body.
    pub(super) async fn fetch(&mut self, request: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut whole = Vec::new();
        let status = self.ask(request, |piece| whole.extend_from_slice(piece)).await?;
        ensure!(
            (200..300).contains(&status),
            "status {status}: {}",
            String::from_utf8_lossy(&whole)
        );
        Ok(whole)
    }

    async fn exchange(&mut self, request: &[u8], mut body: impl FnMut(&[u8])) -> anyhow::Result<u16> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        let length = self.until(b"\r\n\r\n").await?;
        let (status, framing) = head(&self.buffer[self.from..self.from + length])?;
        self.from += length;
        match framing {
            Framing::Length(length) => self.pass(length, &mut body).await?,
            Framing::Chunked => loop {
                let length = self.until(b"\r\n").await?;
                let line = std::str::from_utf8(&self.buffer[self.from..self.from + length])?;
                let size = line.trim().split(';').next().unwrap_or_default();
                let size = u64::from_str_radix(size, 16).with_context(|| format!("chunk {line:?}"))?;
                self.from += length;
                self.pass(size, &mut body).await?;
                self.pass(2, &mut |_| ()).await?;
                if size == 0 {
                    break;
                }
            },
        }
        Ok(status)
    }

    /// Reads until the mark; the length with it.
    async fn until(&mut self, mark: &[u8]) -> anyhow::Result<usize> {
        loop {
            let read = &self.buffer[self.from..self.to];
            if let Some(at) = read.windows(mark.len()).position(|window| window == mark) {
                return Ok(at + mark.len());
            }
            self.buffer.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
            ensure!(self.to < self.buffer.len(), "a head of over {BUFFER} bytes");
            self.fill().await?;
        }
    }

    async fn pass(&mut self, mut left: u64, body: &mut impl FnMut(&[u8])) -> anyhow::Result<()> {
        while left > 0 {
            if self.from == self.to {
                (self.from, self.to) = (0, 0);
                self.fill().await?;
            }
            let length = usize::try_from(left)?.min(self.to - self.from);
            body(&self.buffer[self.from..self.from + length]);
            self.from += length;
            left -= length as u64;
        }
        Ok(())
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        let length = self.stream.read(&mut self.buffer[self.to..]).await?;
        ensure!(length > 0, "the connection ended before the answer did");
        self.to += length;
        Ok(())
    }
}

/// Status and framing of an answer.
fn head(head: &[u8]) -> anyhow::Result<(u16, Framing)> {
    let head = std::str::from_utf8(head)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    let status = status
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .with_context(|| format!("status line {status:?}"))?;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") {
            return Ok((status, Framing::Length(value.trim().parse()?)));
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Ok((status, Framing::Chunked));
        }
    }
    bail!("an answer without a length: {head:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_follow_each_other_on_a_connection() {
        let (client, mut server) = tokio::io::duplex(7);
        let mut connection = Connection::new(client);
        let answers = tokio::spawn(async move {
            let chunked =
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
            let length = "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone";
            server
                .write_all(format!("{chunked}{length}").as_bytes())
                .await
                .unwrap();
            let mut asked = Vec::new();
            server.read_to_end(&mut asked).await.unwrap();
            asked
        });
        assert_eq!(connection.fetch(b"1").await.unwrap(), b"abcde");
        let error = connection.fetch(b"2").await.unwrap_err().to_string();
        assert_eq!(error, "status 404: none");
        drop(connection);
        assert_eq!(answers.await.unwrap(), b"12");
    }

    #[test]
    fn a_head_without_a_length_is_refused() {
        assert!(head(b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n").is_err());
    }
}
