//! How the members of one cluster are reached.

use std::net::SocketAddr;
use std::time::Duration;

use resources::Secret;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::Error;
use crate::peer::Peer;

/// Addresses and credentials for one etcd cluster.
#[derive(Debug, Clone)]
pub struct Access {
    /// Client addresses of the machines that are members or may be (kubeadm: port 2379). Other members are found by the
    /// client URLs of the member list.
    pub endpoints: Vec<SocketAddr>,
    /// The cluster's etcd CA (PEM). A member shows a certificate of it with its address as alternative name.
    pub ca: String,
    /// Client certificate of that CA (PEM).
    pub certificate: String,
    /// Its private key (PEM).
    pub key: Secret<String>,
    /// Longest time that an observation takes. A change looks for the member to ask and then asks it; each of the two
    /// takes at most this long. It should be longer than an election (etcd's default: 1 s).
    pub limit: Duration,
}

/// [`Access`] whose credentials can be used.
#[derive(Debug, Clone)]
pub(crate) struct Checked(Access);

impl Checked {
    pub(crate) fn new(access: Access) -> Result<Self, Error> {
        let wrong = |what, why: String| Error::Credentials { what, why };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(access.ca.as_bytes()) {
            let certificate = certificate.map_err(|error| wrong("the CA of etcd", error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| wrong("the CA of etcd", error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(wrong("the CA of etcd", "it holds no certificate".to_owned()));
        }
        let checked = Self(access);
        checked.endpoint(SocketAddr::from(([127, 0, 0, 1], 2379)))?;
        Ok(checked)
    }

    pub(crate) fn endpoints(&self) -> &[SocketAddr] {
        &self.0.endpoints
    }

    pub(crate) fn limit(&self) -> Duration {
        self.0.limit
    }

    /// A member at an address, by a connection of its own that opens with the first call.
    pub(crate) fn peer(&self, address: SocketAddr) -> Result<Peer, Error> {
        Ok(Peer::new(address, self.endpoint(address)?.connect_lazy()))
    }

    fn endpoint(&self, address: SocketAddr) -> Result<Endpoint, Error> {
        let wrong = |why| Error::Credentials {
            what: "the client certificate for etcd",
            why,
        };
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&self.0.ca))
            .identity(Identity::from_pem(&self.0.certificate, self.0.key.reveal()))
            .domain_name(address.ip().to_string());
        Channel::from_shared(format!("https://{address}"))
            .map_err(|error| wrong(error.to_string()))?
            .tls_config(tls)
            .map_err(|error| wrong(causes::line(&error)))
    }
}
