//! Opening the server: storage, kinds, bootstrap objects, background tasks.

use std::path::PathBuf;
use std::sync::Arc;

use http::{Extensions, Method, Request, header};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};
use store::Database;
use store::records::Records;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admission::Admit;
use crate::authn::{Identity, Tokens};
use crate::authz::Role;
use crate::call::Core;
use crate::definitions::OwnKinds;
use crate::error::Error;
use crate::kinds::Conversion;
use crate::records::{RecordKind, record_kind};
use crate::service::Router;
use crate::storage::{Sealer, Storage};
use crate::verbs::form::WithoutManagers;
use crate::{ApiError, collector, definitions};

/// How to open the server.
#[derive(Debug)]
pub struct Config {
    /// The objects: `state.db` in a locked [`store::DataDir`].
    pub database: PathBuf,
    /// Seals Secrets before they reach the database.
    pub sealer: Arc<dyn Sealer>,
    /// Bearer tokens and who they stand for.
    pub tokens: Vec<(String, Identity)>,
    /// What callers outside `system:masters` may do.
    pub roles: Vec<Role>,
    /// Definitions to install or update at start.
    pub definitions: Vec<CustomResourceDefinition>,
    /// Versions of theirs whose fields differ from the stored form.
    pub conversions: Vec<Conversion>,
    /// Namespaces to make when absent, beside `default`.
    pub namespaces: Vec<String>,
    /// Hooks on every write.
    pub admission: Vec<Admit>,
    /// The records file and its kinds.
    pub records: Option<(Records, Vec<RecordKind>)>,
    /// How far the first resource version lies above the last one of the database. After a restore of older data, clients
    /// have seen versions that were given out since.
    pub version_jump: u64,
    /// Makes the text of `/metrics`; without it there is no such path.
    pub exposition: Option<fn() -> String>,
}

impl Config {
    /// A configuration with nothing but a database and a sealer.
    pub fn new(database: impl Into<PathBuf>, sealer: Arc<dyn Sealer>) -> Config {
        Config {
            database: database.into(),
            sealer,
            tokens: Vec::new(),
            roles: Vec::new(),
            definitions: Vec::new(),
            conversions: Vec::new(),
            namespaces: Vec::new(),
            admission: Vec::new(),
            records: None,
            version_jump: 0,
            exposition: None,
        }
    }
}

/// Name of the server's own clients, also as field manager where a request names none.
const SELF: &str = "gantry";

/// The embedded API.
#[derive(Debug)]
pub struct ApiServer {
    router: Router,
    tasks: JoinSet<()>,
    cancel: CancellationToken,
}

impl ApiServer {
    /// Opens the database, installs definitions and namespaces, starts the collector.
    pub async fn open(config: Config) -> Result<ApiServer, Error> {
        let storage = Storage::open(config.database, config.sealer, config.version_jump).await?;
        let (records, record_kinds) = config.records.unzip();
        let own_kinds = OwnKinds {
            records: record_kinds
                .iter()
                .flatten()
                .map(|kind| Arc::new(record_kind(kind)))
                .collect(),
            conversions: config.conversions,
        };
        let cancel = CancellationToken::new();
        let core = Arc::new(Core::new(
            storage,
            Tokens::new(config.tokens),
            config.roles,
            config.admission,
            records,
            own_kinds,
            cancel.clone(),
        ));
        core.after_write(definitions::RESOURCE);
        let router = Router::new(core.clone(), config.exposition);
        let mut tasks = JoinSet::new();
        let server_token = cancel.clone();
        for name in ["default".to_owned()].into_iter().chain(config.namespaces) {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            install(&router, "/api/v1/namespaces", &name, &namespace).await?;
        }
        install_definitions(&router, &config.definitions).await?;
        tasks.spawn(collector::run(core, server_token));
        Ok(ApiServer {
            router,
            tasks,
            cancel,
        })
    }

    /// A client in this process with the rights of an administrator; no socket in between.
    pub fn client(&self) -> kube::Client {
        self.client_as(Identity::admin(SELF))
    }

    /// As [`ApiServer::client`], for controllers: objects come without `metadata.managedFields`. A write that sends
    /// such an object back keeps its managers, as it does for every client that leaves them out.
    pub fn controller_client(&self) -> kube::Client {
        self.client_with(Identity::admin(SELF), |extensions| {
            extensions.insert(WithoutManagers);
        })
    }

    /// A client in this process that acts as `identity`.
    pub fn client_as(&self, identity: Identity) -> kube::Client {
        self.client_with(identity, |_| {})
    }

    fn client_with(&self, identity: Identity, extend: fn(&mut Extensions)) -> kube::Client {
        use tower::ServiceExt;
        let service = self
            .router
            .clone()
            .map_request(move |mut request: Request<kube::client::Body>| {
                request.extensions_mut().insert(identity.clone());
                extend(request.extensions_mut());
                let agent = header::HeaderValue::from_static(SELF);
                request.headers_mut().entry(header::USER_AGENT).or_insert(agent);
                request
            });
        kube::Client::new(service, "default")
    }

    /// The service for [`crate::serve_tls`].
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// The database of objects, for backup and check.
    pub fn database(&self) -> &Database {
        self.router.core().storage.database()
    }

    /// Ends watches and background tasks, then the writer. Whatever was acknowledged is on disk already.
    pub async fn close(mut self) {
        self.cancel.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.database().close().await;
    }
}

/// Installs what is not there yet; all at once, so that they share their commits.
async fn install_definitions(router: &Router, definitions: &[CustomResourceDefinition]) -> Result<(), Error> {
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let mut missing = Vec::new();
    for definition in definitions {
        let name = definition.metadata.name.clone().unwrap_or_default();
        let object = definitions::as_json(definition, &name)?;
        if !definitions::is_installed(&router.core().storage, &object) {
            missing.push((name, object));
        }
    }
    let installs = missing
        .iter()
        .map(|(name, object)| install(router, path, name, object));
    futures::future::try_join_all(installs).await.map(drop)
}

/// Makes an object by server-side apply when it is absent or differs.
async fn install(router: &Router, collection: &str, name: &str, object: &Value) -> Result<(), Error> {
    use http_body_util::BodyExt;
    let failed = |source: ApiError| Error::Bootstrap {
        object: format!("{collection}/{name}"),
        source,
    };
    let mut request = Request::new(http_body_util::Full::new(bytes::Bytes::from(object.to_string())));
    *request.method_mut() = Method::PATCH;
    let uri = format!("{collection}/{name}?fieldManager={SELF}&force=true&fieldValidation=Strict");
    *request.uri_mut() = uri
        .parse()
        .map_err(|_| failed(ApiError::bad_request("bad name")))?;
    let media = header::HeaderValue::from_static("application/apply-patch+yaml");
    request.headers_mut().insert(header::CONTENT_TYPE, media);
    request.extensions_mut().insert(Identity::admin(SELF));
    let response = router.clone().answer(request).await;
    if response.status().is_success() {
        return Ok(());
    }
    let bytes = response
        .into_body()
        .collect()
        .await
        .map(|b| b.to_bytes())
        .unwrap_or_default();
    let status: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    Err(failed(ApiError::internal(
        status["message"].as_str().unwrap_or("unknown failure"),
    )))
}
