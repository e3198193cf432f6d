//! The client believes the site's name, whatever the address, and its own clock.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use agent_protocol::v1::workflows_client::WorkflowsClient;
use agent_protocol::v1::workflows_server::{Workflows, WorkflowsServer};
use agent_protocol::v1::{
    Finished, NextRequest, NextResponse, ReportRequest, ReportResponse, next_response::Step,
};
use agent_protocol::{ClientIdentity, SteppedClock, client_config, connect};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::crypto::aws_lc_rs::default_provider;
use tonic::{Request, Response, Status};

struct Service;

#[tonic::async_trait]
impl Workflows for Service {
    async fn next(&self, request: Request<NextRequest>) -> Result<Response<NextResponse>, Status> {
        let certificates = request.peer_certs().map_or(0, |certificates| certificates.len());
        Ok(Response::new(NextResponse {
            step: Some(Step::Finished(Finished {
                reason: format!("{certificates} certificate"),
            })),
        }))
    }

    async fn report(&self, _: Request<ReportRequest>) -> Result<Response<ReportResponse>, Status> {
        Ok(Response::new(ReportResponse {}))
    }
}

struct Site {
    ca: CertifiedIssuer<'static, KeyPair>,
    address: String,
}

/// Certificates hold through 2030.
fn params(names: Vec<String>) -> CertificateParams {
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(2030, 1, 1);
    params.not_after = date_time_ymd(2031, 1, 1);
    params
}

async fn serve() -> Site {
    let _ = default_provider().install_default();
    let mut ca = params(vec![]);
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut leaf = params(vec!["site-a.gantry.test".to_owned()]);
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = leaf.signed_by(&key, &ca).unwrap();
    let tls = tonic::transport::ServerTlsConfig::new().identity(tonic::transport::Identity::from_pem(
        certificate.pem(),
        key.serialize_pem(),
    ));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(
        tonic::transport::Server::builder()
            .tls_config(tls)
            .unwrap()
            .add_service(WorkflowsServer::new(Service))
            .serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener)),
    );
    Site { ca, address }
}

async fn ask(site: &Site, name: &str, now: Duration, ca: &str) -> Result<String, Status> {
    let key = KeyPair::generate().unwrap();
    let identity = ClientIdentity {
        certificate_pem: params(vec![]).signed_by(&key, &site.ca).unwrap().pem(),
        key_pem: key.serialize_pem(),
    };
    let clock = Arc::new(SteppedClock::new(now));
    let config = client_config(Arc::new(default_provider()), ca, Some(&identity), clock).unwrap();
    let channel = connect(&site.address, name, config).unwrap();
    let answer = WorkflowsClient::new(channel).next(NextRequest::default()).await?;
    match answer.into_inner().step {
        Some(Step::Finished(finished)) => Ok(finished.reason),
        other => panic!("{other:?}"),
    }
}

/// Seconds of 1 June 2030.
const IN_2030: Duration = Duration::from_secs(1_906_502_400);

#[tokio::test]
async fn name_and_time_decide() {
    let site = serve().await;
    let ca = site.ca.pem();
    assert!(ask(&site, "site-a.gantry.test", IN_2030, &ca).await.is_ok());
    assert!(ask(&site, "site-b.gantry.test", IN_2030, &ca).await.is_err());
    let too_early = Duration::from_secs(1_600_000_000);
    assert!(ask(&site, "site-a.gantry.test", too_early, &ca).await.is_err());
}

#[tokio::test]
async fn another_ca_is_not_believed() {
    let site = serve().await;
    let other = serve().await.ca.pem();
    assert!(ask(&site, "site-a.gantry.test", IN_2030, &other).await.is_err());
}

#[test]
fn a_stepped_clock_counts_on() {
    let clock = SteppedClock::new(Duration::from_secs(5));
    clock.set(Duration::from_secs(1000));
    assert!(clock.now() >= Duration::from_millis(999_999));
    assert!(clock.now() < Duration::from_secs(1010));
}
