//! The appliance's agent endpoint as agents and installed systems reach it: TLS that is checked against the site CA, with
//! and without a certificate of one's own.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use agent_protocol::{ClientIdentity, SteppedClock};
use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::Kubeconfig;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use tonic::transport::Channel;

use crate::first_boot::FirstBoot;
use crate::site_name::SITE;

/// Address and site CA.
pub(crate) struct AgentEndpoint {
    address: String,
    site_ca: String,
}

impl AgentEndpoint {
    /// The endpoint at this address; the admin's kubeconfig has the site CA, which also signs the API's certificate.
    pub(crate) fn new(address: String, kubeconfig: &Path) -> anyhow::Result<AgentEndpoint> {
        let file = Kubeconfig::read_from(kubeconfig)?;
        let cluster = file.clusters.into_iter().find_map(|named| named.cluster);
        let data = cluster.and_then(|cluster| cluster.certificate_authority_data);
        let octets = STANDARD.decode(data.context("no CA in the kubeconfig")?)?;
        Ok(AgentEndpoint {
            address,
            site_ca: String::from_utf8(octets)?,
        })
    }

    /// A channel for the agent's services.
    pub(crate) fn channel(&self, identity: Option<&ClientIdentity>) -> anyhow::Result<Channel> {
        Ok(agent_protocol::connect(&self.address, SITE, self.tls(identity)?)?)
    }

    /// A connection of an installed system.
    pub(crate) async fn first_boot(&self, identity: &ClientIdentity) -> anyhow::Result<FirstBoot> {
        FirstBoot::connect(&self.address, self.tls(Some(identity))?).await
    }

    /// TLS of a peer without a certificate, for the agent endpoint and for the API.
    pub(crate) fn anonymous(&self) -> anyhow::Result<Arc<ClientConfig>> {
        self.tls(None).map(Arc::new)
    }

    fn tls(&self, identity: Option<&ClientIdentity>) -> anyhow::Result<ClientConfig> {
        let clock = Arc::new(SteppedClock::new(SystemTime::now().duration_since(UNIX_EPOCH)?));
        let provider = Arc::new(default_provider());
        Ok(agent_protocol::client_config(
            provider,
            &self.site_ca,
            identity,
            clock,
        )?)
    }
}

/// A request for a certificate and its key, PEM.
pub(crate) fn key_and_request() -> anyhow::Result<(String, String)> {
    let key = rcgen::KeyPair::generate()?;
    let request = rcgen::CertificateParams::default().serialize_request(&key)?;
    Ok((request.pem()?, key.serialize_pem()))
}
