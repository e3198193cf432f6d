//! The clients: each has a connection of its own and asks for one thing after the other.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use kube::Config;
use kube::client::ConfigExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::benches::cable::Cable;
use crate::benches::http_client::Connection;
use crate::benches::kube_api;
use crate::benches::meter::{Share, late};

/// Objects that one client makes, and all of them after that.
const ONE: usize = 1_000;
const ALL: usize = 10_000;
const CLIENTS: usize = 16;
/// Single reads.
const GETS: usize = 8_000;
const PATH: &str = "/api/v1/namespaces/default/configmaps";
/// The context with a client certificate, which is part of the TLS configuration.
const BY_CERTIFICATE: &str = "gantry-certificate";
/// Until the server has made the namespace.
const START: Duration = Duration::from_secs(30);

/// What is measured, in order.
pub(super) const STEPS: [&str; 4] = ["creates, 1 client", "creates, 16 clients", "list", "single gets"];

/// Rates for a second, times in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) one: f64,
    pub(super) many: f64,
    pub(super) late: f64,
    pub(super) list: f64,
    pub(super) gets: f64,
    /// Share of a core that asking took, for each of [`STEPS`].
    pub(super) client: Vec<f64>,
}

/// How the server is reached.
pub(super) enum Access {
    Kubeconfig(PathBuf),
    KubeApi,
}

/// A server that connections are made to.
#[derive(Clone)]
struct Server {
    tls: TlsConnector,
    address: String,
    name: ServerName<'static>,
    /// Header lines of every request.
    headers: String,
}

type Client = Connection<TlsStream<TcpStream>>;

pub(super) fn run(cable: &Cable, access: Access) -> anyhow::Result<Outcome> {
    lab::in_namespace(&cable.server, move || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(async { measure(Server::new(access).await?).await }))
    })?
}

async fn measure(server: Server) -> anyhow::Result<Outcome> {
    server.until_ready().await?;
    let mut outcome = Outcome::default();
    let step = Step::begin()?;
    step.all(&server, 1, 0..ONE, true).await?;
    outcome.one = step.end(ONE, &mut outcome.client)?;
    let step = Step::begin()?;
    let times = step.all(&server, CLIENTS, ONE..ALL, true).await?;
    outcome.many = step.end(ALL - ONE, &mut outcome.client)?;
    outcome.late = late(times);
    let mut client = server.connect().await?;
    let step = Step::begin()?;
    let listed = client.fetch(&server.request("GET", "", None)).await?;
    outcome.list = 1e3 / step.end(1, &mut outcome.client)?;
    check(&listed)?;
    let step = Step::begin()?;
    step.all(&server, CLIENTS, 0..GETS, false).await?;
    outcome.gets = step.end(GETS, &mut outcome.client)?;
    Ok(outcome)
}

/// All objects are listed, each once.
fn check(list: &[u8]) -> anyhow::Result<()> {
    let list: Value = serde_json::from_slice(list)?;
    let items = list["items"].as_array().context("no list")?;
    let names = items.iter().filter_map(|item| item["metadata"]["name"].as_str());
    let names: HashSet<&str> = names.filter(|name| name.starts_with("bench-")).collect();
    ensure!(names.len() == ALL, "{} of {ALL} objects are listed", names.len());
    Ok(())
}

/// A measured step.
struct Step {
    began: Instant,
    share: Share,
}

impl Step {
    fn begin() -> anyhow::Result<Step> {
        Ok(Step {
            share: Share::start()?,
            began: Instant::now(),
        })
    }

    /// Requests for each second.
    fn end(self, count: usize, shares: &mut Vec<f64>) -> anyhow::Result<f64> {
        let rate = count as f64 / self.began.elapsed().as_secs_f64();
        shares.push(self.share.read()?);
        Ok(rate)
    }

    /// Creates or gets the objects with several clients; how long each took.
    async fn all(
        &self,
        server: &Server,
        clients: usize,
        numbers: std::ops::Range<usize>,
        create: bool,
    ) -> anyhow::Result<Vec<Duration>> {
        let mut running = JoinSet::new();
        for client in 0..clients {
            let (server, numbers) = (server.clone(), numbers.clone().skip(client).step_by(clients));
            running.spawn(async move {
                let mut times = Vec::new();
                let mut connection = server.connect().await?;
                for number in numbers {
                    let request = server.about(number, create);
                    let began = Instant::now();
                    let object = connection.fetch(&request).await?;
                    times.push(began.elapsed());
                    let name = format!("\"name\":\"{}\"", name(number));
                    ensure!(
                        object.windows(name.len()).any(|window| window == name.as_bytes()),
                        "not the object {name}"
                    );
                }
                anyhow::Ok(times)
            });
        }
        let mut times = Vec::new();
        for client in running.join_all().await {
            times.extend(client?);
        }
        Ok(times)
    }
}

fn name(number: usize) -> String {
    format!("bench-{number:05}")
}

impl Server {
    async fn new(access: Access) -> anyhow::Result<Server> {
        let (config, headers) = match access {
            Access::KubeApi => {
                let token = format!("Authorization: Bearer {}\r\n", kube_api::TOKEN);
                (kube_api::config()?, token)
            }
            Access::Kubeconfig(path) => {
                let options = KubeConfigOptions {
                    context: Some(BY_CERTIFICATE.to_owned()),
                    ..KubeConfigOptions::default()
                };
                let file = Kubeconfig::read_from(path)?;
                (
                    Config::from_custom_kubeconfig(file, &options).await?,
                    String::new(),
                )
            }
        };
        let host = config
            .cluster_url
            .host()
            .context("a URL without a host")?
            .to_owned();
        let port = config.cluster_url.port_u16().context("a URL without a port")?;
        Ok(Server {
            tls: TlsConnector::from(Arc::new(config.rustls_client_config()?)),
            address: format!("{host}:{port}"),
            name: ServerName::try_from(host)?,
            headers,
        })
    }

    async fn connect(&self) -> anyhow::Result<Client> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection::new(
            self.tls.connect(self.name.clone(), stream).await?,
        ))
    }

    /// A request about the collection of ConfigMaps, or what is below it.
    fn request(&self, method: &str, below: &str, body: Option<&Value>) -> Vec<u8> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let (headers, length) = (&self.headers, body.len());
        let head = format!(
            "{method} {PATH}{below} HTTP/1.1\r\nHost: {}\r\n{headers}",
            self.address
        );
        format!(
            "{head}Accept: application/json\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    fn about(&self, number: usize, create: bool) -> Vec<u8> {
        let name = name(number);
        if !create {
            return self.request("GET", &format!("/{name}"), None);
        }
        let object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name},
            "data": {"text": "x".repeat(900)},
        });
        self.request("POST", "", Some(&object))
    }

    /// A new kube-apiserver makes the namespace a moment after it answers.
    async fn until_ready(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut client = self.connect().await?;
        let probe = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe"}});
        loop {
            match client.fetch(&self.request("POST", "", Some(&probe))).await {
                Ok(_) => return Ok(()),
                Err(error) if began.elapsed() > START => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}
