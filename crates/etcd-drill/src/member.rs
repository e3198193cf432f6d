//! The etcd of a drill: one member on an address of its own on loopback, which only holders of a certificate of an authority
//! that was made for the drill reach.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use etcd::{Access, Etcd, EtcdConnector as _, EtcdView, TlsEtcdConnector};
use jiff::{SignedDuration, Timestamp};
use pki::{ClusterPki, Validity};

use crate::error::Error;
use crate::programs::{Programs, Running};
use crate::scratch::Scratch;

/// Name of the member.
pub(crate) const NAME: &str = "drill";
/// How long an observation and a read may take.
const LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);
/// Longest life of its certificates beyond the limit of the drill.
const SPARE: SignedDuration = SignedDuration::from_mins(5);
/// Largest data that etcd supports, so that no quota ends a drill.
const QUOTA: u64 = 8 << 30;

/// Addresses of the member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    client: SocketAddr,
    peer: SocketAddr,
}

impl Place {
    /// An address of 127.0.0.0/8 that is hardly anybody's, with ports that are free now.
    pub(crate) fn find() -> Result<Self, Error> {
        let [first, second, third] = rand::random::<[u8; 3]>();
        let ip = IpAddr::V4(Ipv4Addr::new(127, first, second, third.clamp(2, 254)));
        let listen =
            || TcpListener::bind((ip, 0)).and_then(|listener| Ok((listener.local_addr()?, listener)));
        let failed = |source| Error::Program {
            program: "etcd",
            source,
        };
        // Both at once, so that they differ.
        let ((client, _first), (peer, _second)) = (listen().map_err(failed)?, listen().map_err(failed)?);
        Ok(Self { client, peer })
    }

    /// URL at which members would reach it.
    pub(crate) fn peer_url(self) -> String {
        format!("https://{}", self.peer)
    }
}

/// The member, and how it is asked. It ends with this value.
pub(crate) struct Member {
    running: Running,
    access: Access,
    etcd: Box<dyn Etcd>,
}

impl Member {
    /// Starts it with the data in this folder of the scratch folder; `limit` is that of the drill.
    pub(crate) fn start(
        scratch: &Scratch,
        programs: &Programs,
        (place, data): (Place, &str),
        limit: Duration,
    ) -> Result<Self, Error> {
        let lasting = SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX);
        let validity = || Validity::lasting(Timestamp::now(), lasting.saturating_add(SPARE));
        let pki = ClusterPki::generate(validity()).map_err(Error::Certificates)?;
        let server = pki.etcd_server(place.client.ip(), validity());
        let client = pki.etcd_client(validity()).map_err(Error::Certificates)?;
        let server = server.map_err(Error::Certificates)?;
        let authority = scratch.write("ca.crt", &pki.etcd.certificate)?;
        let certificate = scratch.write("own.crt", &server.certificate)?;
        let key = scratch.write("own.key", server.key.reveal())?;
        let data = scratch.path(data);
        let (own, peer) = (format!("https://{}", place.client), place.peer_url());
        let mut command = vec![
            "etcd".to_owned(),
            format!("--name={NAME}"),
            format!("--data-dir={}", data.display()),
            format!("--listen-client-urls={own}"),
            format!("--advertise-client-urls={own}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster={NAME}={peer}"),
            format!("--quota-backend-bytes={QUOTA}"),
            // It would be a client of its own, and nobody asks it.
            "--enable-grpc-gateway=false".to_owned(),
            // What is written goes with the drill.
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        for side in ["", "peer-"] {
            command.extend([
                format!("--{side}cert-file={}", certificate.display()),
                format!("--{side}key-file={}", key.display()),
                format!("--{side}trusted-ca-file={}", authority.display()),
                format!("--{side}client-cert-auth=true"),
            ]);
        }
        let access = Access {
            endpoints: vec![place.client],
            ca: pki.etcd.certificate,
            certificate: client.certificate,
            key: client.key,
            limit: LIMIT,
        };
        Ok(Self {
            running: programs.start(scratch, "etcd", &command)?,
            etcd: TlsEtcdConnector.connect(access.clone()).map_err(Error::Asked)?,
            access,
        })
    }

    /// How it is asked.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// The operations that a restored cluster goes through.
    pub(crate) fn etcd(&self) -> &dyn Etcd {
        &*self.etcd
    }

    /// Ends it, and waits until it is gone.
    pub(crate) async fn end(self) {
        self.running.end().await;
    }

    /// Waits until it serves reads, or has ended. The caller limits how long.
    pub(crate) async fn serves(&mut self) -> Result<EtcdView, Error> {
        loop {
            if let Some(why) = self.running.ended()? {
                return Err(Error::NotServing { why });
            }
            // The data of the only member of a control plane are those of an etcd that was stopped.
            if let Ok(view) = self.etcd.observe().await
                && (view.serves() || view.is_frozen())
            {
                return Ok(view);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
