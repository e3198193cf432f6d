//! An installed system at its first boot: HTTP/1.1 over mutual TLS on one connection, as its boot script speaks it.

use std::sync::Arc;

use anyhow::Context;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::site_name::SITE;

/// A connection.
pub(crate) struct FirstBoot(BufReader<TlsStream<TcpStream>>);

impl FirstBoot {
    /// Connects with the certificate of `config`.
    pub(crate) async fn connect(address: &str, mut config: ClientConfig) -> anyhow::Result<FirstBoot> {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let stream = TcpStream::connect(address).await?;
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect(ServerName::try_from(SITE)?, stream).await?;
        Ok(FirstBoot(BufReader::new(stream)))
    }

    /// Sends a request without a body; gives status and body of the answer.
    pub(crate) async fn ask(&mut self, method: &str, path: &str) -> anyhow::Result<(u16, String)> {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {SITE}\r\nContent-Length: 0\r\n\r\n");
        self.0.write_all(request.as_bytes()).await?;
        self.0.flush().await?;
        let first = self.line().await?;
        let status = first.split(' ').nth(1).context("no status")?.parse()?;
        let mut length = 0;
        loop {
            let line = self.line().await?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await?;
        Ok((status, String::from_utf8(body)?))
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        Ok(line.trim_end().to_owned())
    }
}
