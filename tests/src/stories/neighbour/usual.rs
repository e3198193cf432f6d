//! What the appliance does for those who belong there, and how long it takes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::addresses::{MAC, MACHINE, SERVER};
use super::datagrams;
use crate::kubectl::Kubectl;
use crate::namespace::ClientNamespace;
use crate::site_name::SITE;

/// Runs of each.
const RUNS: usize = 7;
/// Under the flood each may take so many times its usual time, and this on top.
const FACTOR: u32 = 3;
const NOISE: Duration = Duration::from_millis(300);
/// Nobody waits longer than this for one answer.
const LIMIT: Duration = Duration::from_secs(10);

/// The machine and the user, at the other end of the cable.
pub(super) struct Service<'a> {
    pub(super) network: &'a ClientNamespace,
    pub(super) kubectl: Kubectl,
    pub(super) tls: Arc<ClientConfig>,
}

/// Medians of several runs.
#[derive(Debug)]
pub(super) struct Times([(&'static str, Duration); 5]);

impl Service<'_> {
    /// The machine's boot script.
    pub(super) fn script(&self) -> anyhow::Result<()> {
        self.network.inside(|| {
            let mut stream = connect(SocketAddr::from((SERVER, 7080)))?;
            write!(
                stream,
                "GET /ipxe/script/{MAC}/auto.ipxe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            )?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            ensure!(
                text.starts_with("HTTP/1.1 200") && text.contains("#!ipxe"),
                "{text}"
            );
            Ok(())
        })?
    }

    /// An agent's greeting, as it comes before its claim.
    fn greeting(&self) -> anyhow::Result<()> {
        self.network.inside(|| {
            let mut stream = connect(SocketAddr::from((SERVER, 7443)))?;
            let mut tls = ClientConnection::new(self.tls.clone(), ServerName::try_from(SITE)?)?;
            while tls.is_handshaking() {
                tls.complete_io(&mut stream)?;
            }
            Ok(())
        })?
    }

    /// `kubectl get ns` of a user who is not on the appliance's machine.
    fn namespaces(&self) -> anyhow::Result<()> {
        let text = self.network.inside(|| self.kubectl.run(&["get", "ns"]))??;
        ensure!(text.contains("eksa-system"), "{text}");
        Ok(())
    }

    /// Asks for everything several times.
    pub(super) fn times(&self, when: &str) -> anyhow::Result<Times> {
        let times = Times([
            ("boot script", median("boot script", || self.script())?),
            (
                "agent's greeting",
                median("agent's greeting", || self.greeting())?,
            ),
            ("kubectl get ns", median("kubectl get ns", || self.namespaces())?),
            (
                "DHCP offer",
                median("DHCP offer", || self.network.inside(datagrams::offer)?)?,
            ),
            (
                "first answer by TFTP",
                median("first answer by TFTP", || {
                    self.network.inside(datagrams::first_block)?
                })?,
            ),
        ]);
        for (what, time) in times.0 {
            println!("{when}: {what} in {time:?}");
        }
        Ok(times)
    }
}

impl Times {
    /// Fails when something took much longer than usual.
    pub(super) fn compare(usual: &Times, now: &Times) -> anyhow::Result<()> {
        for ((what, usual), (_, now)) in usual.0.iter().zip(&now.0) {
            let most = *usual * FACTOR + NOISE;
            ensure!(
                *now <= most,
                "{what} took {now:?} instead of {usual:?}; {most:?} is allowed"
            );
        }
        Ok(())
    }
}

fn median(what: &str, work: impl Fn() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let begin = Instant::now();
        work().with_context(|| format!("{what}, after {:?}", begin.elapsed()))?;
        times.push(begin.elapsed());
    }
    times.sort();
    Ok(times[RUNS / 2])
}

/// A connection of the machine.
fn connect(to: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = super::connections::open(MACHINE, to)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    Ok(stream)
}
