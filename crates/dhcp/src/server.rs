//! Sockets around the engine: one UDP/67 socket and one thread per interface, leases that are committed together, and
//! the advertiser.

mod advertiser;
mod commits;
mod deps;
mod frames;
mod leases;
mod networks;
mod ports;
mod socket;
mod worker;

use std::sync::{Arc, mpsc};

use boot_script::SiteSettings;
use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub use advertiser::RouterAdvertiser;
pub use deps::Deps;

use crate::error::Error;
use socket::DhcpSocket;
use worker::{Ends, Worker};

/// Settings of the service on one interface.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the interface.
    pub interface: String,
    /// The site; replies come from its `server_address`.
    pub site: SiteSettings,
}

/// The DHCP server of one interface.
#[derive(Debug)]
pub struct Server {
    socket: DhcpSocket,
    /// Wakes the thread that answers.
    wake: Arc<EventFd>,
    interface: String,
    site: SiteSettings,
}

impl Server {
    /// Takes UDP port 67 of the interface.
    ///
    /// # Errors
    /// If the interface does not exist or the port is taken or not permitted.
    pub fn bind(config: Config) -> Result<Self, Error> {
        let Config { interface, site } = config;
        let failed = |source: nix::errno::Errno| Error::Socket {
            step: "make an event counter",
            interface: interface.clone(),
            source: source.into(),
        };
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let wake = Arc::new(EventFd::from_flags(flags).map_err(failed)?);
        let socket = DhcpSocket::bind(&interface, site.server_address)?;
        Ok(Self {
            socket,
            wake,
            interface,
            site,
        })
    }

    /// Serves until `cancel`. Packets are answered in a thread of their own.
    pub async fn run(self, deps: Deps, cancel: CancellationToken) {
        let stop = cancel.child_token();
        let (ending, ended) = mpsc::channel();
        let ends = Ends {
            ending,
            ended,
            wake: Arc::clone(&self.wake),
            stop: stop.clone(),
        };
        let _stop = Stop {
            wake: Arc::clone(&self.wake),
            stop,
        };
        let worker = Worker::new(self.socket, &self.interface, self.site, deps, ends);
        let (running, over) = oneshot::channel::<()>();
        let work = move || {
            worker.run();
            drop(running);
        };
        // Threads of this name and not of the interface's: names have room for 15 bytes.
        let thread = std::thread::Builder::new().name("dhcp".to_owned());
        if let Err(error) = thread.spawn(work) {
            let error = &error as &dyn std::error::Error;
            tracing::error!(
                error,
                interface = self.interface,
                "DHCP does not start: no thread"
            );
            return;
        }
        // Ends with an error, because nothing is sent.
        let mut over = std::pin::pin!(over);
        tokio::select! {
            () = cancel.cancelled() => {
                let _ = self.wake.write(1);
                let _ = over.await;
            }
            _ = &mut over => {}
        }
    }
}

/// Ends the worker when the service is dropped.
struct Stop {
    wake: Arc<EventFd>,
    stop: CancellationToken,
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.stop.cancel();
        let _ = self.wake.write(1);
    }
}
