//! The tower service: from an HTTP request to a verb and back.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use jiff::Timestamp;
use listeners::Voucher;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::authn::Identity;
use crate::authz::{self, Action};
use crate::bulk::{Bulk, Caller};
use crate::call::{Call, Core};
use crate::endpoint::{self, Place, Verb};
use crate::kinds::Origin;
use crate::metrics;
use crate::status::ApiError;
use crate::verbs;
use crate::verbs::form::WithoutManagers;
use crate::wire::body::{self, Body};
use crate::wire::negotiate::{self, View};
use crate::wire::path::{self, Route, Target};
use crate::wire::query::Query;
use crate::wire::{discovery, openapi, openapi_v2};

/// Put by a listener into the extensions of its requests: cancelled when it ends, so that watches end too.
#[derive(Debug, Clone)]
pub(crate) struct ListenerEnd(pub(crate) CancellationToken);

/// The API as a tower service, for the TLS listener and for clients in the process.
#[derive(Debug, Clone)]
pub struct Router {
    core: Arc<Core>,
    /// The text of `/metrics`.
    exposition: Option<fn() -> String>,
}

impl Router {
    pub(crate) fn new(core: Arc<Core>, exposition: Option<fn() -> String>) -> Router {
        Router { core, exposition }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) async fn answer<B>(self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let head = request.method() == Method::HEAD;
        let response = self.try_answer(request).await;
        let response = response.unwrap_or_else(|error| negotiate::failure(&error));
        if head {
            return negotiate::without_body(response);
        }
        response
    }

    async fn try_answer<B>(self, request: Request<B>) -> Result<Response<Body>, ApiError>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let route = path::parse(parts.uri.path());
        if route == Route::Health {
            return Ok(negotiate::with_type(
                StatusCode::OK,
                "text/plain",
                Body::full("ok"),
            ));
        }
        if parts.headers.contains_key("impersonate-user") {
            // Ignoring it would act with more rights than the caller meant to have.
            return Err(ApiError::forbidden_path("impersonation is not supported"));
        }
        let identity = self
            .core
            .tokens
            .identify(parts.extensions.get(), &parts.headers)?;
        if let Some(voucher) = parts.extensions.get::<Voucher>()
            && !identity.is_anonymous()
        {
            voucher.vouch();
        }
        match route {
            Route::Resource(target) => {
                let query = Query::parse(parts.uri.query().unwrap_or(""))?;
                let verb = Verb::of(&parts.method, target.name.is_some(), query.watch)
                    .ok_or_else(|| ApiError::method_not_allowed("DELETE, GET, PATCH, POST, PUT"))?;
                self.authorize(&identity, verb, &target)?;
                let mut call = self.call(target, query, identity, &parts.headers)?;
                check_endpoint(&call, verb)?;
                call.without_managers = parts.extensions.get::<WithoutManagers>().is_some();
                let mut caller = Caller::Inside;
                if let Some(ListenerEnd(token)) = parts.extensions.get() {
                    call.connection = token.clone();
                    caller = Caller::Outside;
                }
                let bytes = if matches!(verb, Verb::Get | Verb::List | Verb::Watch) {
                    Bytes::new()
                } else {
                    body::read(body).await?
                };
                let object = self
                    .core
                    .storage
                    .get(&call.key())
                    .map_or(0, |stored| stored.bytes);
                if !bytes.is_empty() && Bulk::wants(bytes.len(), object) {
                    let work = async move { run(call, verb, &parts.headers, &bytes).await };
                    return self.core.bulk.run(caller, work).await;
                }
                run(call, verb, &parts.headers, &bytes).await
            }
            _ if !matches!(parts.method, Method::GET | Method::HEAD) => {
                Err(ApiError::method_not_allowed("GET"))
            }
            _ if identity.is_anonymous() && route != Route::Version => Err(ApiError::unauthorized()),
            Route::Metrics => self.metrics(&identity),
            other => self.document(other, &parts.headers),
        }
    }

    fn authorize(&self, identity: &Identity, verb: Verb, target: &Target) -> Result<(), ApiError> {
        if identity.is_anonymous() {
            return Err(ApiError::unauthorized());
        }
        let resource = match &target.subresource {
            Some(sub) => format!("{}/{sub}", target.plural),
            None => target.plural.clone(),
        };
        let namespace = target.namespace.as_deref().unwrap_or("");
        let verb = verb.name();
        let action = Action {
            verb,
            group: &target.group,
            resource: &resource,
            namespace,
        };
        if authz::allows(&self.core.roles, identity, action) {
            return Ok(());
        }
        let scope = match namespace {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        let text = format!(
            "User {:?} cannot {verb} resource {resource:?} in API group {:?} {scope}",
            identity.name, target.group
        );
        Err(ApiError::forbidden(
            &target.group,
            &target.plural,
            target.name.as_deref().unwrap_or(""),
            &text,
        ))
    }

    /// The metrics of the process, for whoever may `get` this path.
    fn metrics(&self, identity: &Identity) -> Result<Response<Body>, ApiError> {
        const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
        let exposition = self.exposition.ok_or_else(ApiError::no_such_path)?;
        if !authz::allows_path(&self.core.roles, identity, "get", path::METRICS) {
            let text = format!("User {:?} cannot get path {:?}", identity.name, path::METRICS);
            return Err(ApiError::forbidden_path(&text));
        }
        Ok(negotiate::with_type(
            StatusCode::OK,
            TEXT,
            Body::full(exposition()),
        ))
    }

    fn call(
        &self,
        target: Target,
        query: Query,
        identity: Identity,
        headers: &HeaderMap,
    ) -> Result<Call, ApiError> {
        let registry = self.core.registry();
        let found = registry
            .find(&target.group, &target.version, &target.plural)
            .ok_or_else(ApiError::no_such_path)?;
        let scoped = target.namespace.is_some();
        if scoped && !found.kind.namespaced || !scoped && found.kind.namespaced && target.name.is_some() {
            return Err(ApiError::no_such_path());
        }
        let manager = verbs::options::manager(&query.field_manager, headers);
        let view = match negotiate::view(headers)? {
            View::Discovery => View::Full,
            view => view,
        };
        let core = self.core.clone();
        Ok(Call {
            core,
            found,
            target,
            query,
            identity,
            manager,
            view,
            without_managers: false,
            now: Timestamp::now(),
            warnings: Vec::new(),
            connection: CancellationToken::new(),
        })
    }

    fn document(&self, route: Route, headers: &HeaderMap) -> Result<Response<Body>, ApiError> {
        const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        let registry = self.core.registry();
        let aggregated = negotiate::view(headers).is_ok_and(|v| v == View::Discovery);
        let document = match route {
            Route::Version => Some(discovery::version()),
            Route::CoreVersions | Route::Groups if aggregated => {
                let document = discovery::aggregated(&registry, route == Route::CoreVersions);
                let body = Body::full(document.to_string());
                return Ok(negotiate::with_type(StatusCode::OK, AGGREGATED, body));
            }
            Route::CoreVersions => Some(discovery::core_versions()),
            Route::Groups => Some(discovery::groups(&registry)),
            Route::Group(group) => discovery::group(&registry, &group),
            Route::Resources { group, version } => discovery::resources(&registry, &group, &version),
            Route::OpenApi2 if openapi_v2::is_wanted(headers) => {
                let body = Body::full(openapi_v2::encode(&openapi::v2(&registry)));
                return Ok(negotiate::with_type(StatusCode::OK, openapi_v2::MEDIA_TYPE, body));
            }
            Route::OpenApi2 => Some(openapi::v2(&registry)),
            Route::OpenApi3Index => Some(openapi::index(&registry)),
            Route::OpenApi3 { group, version } => openapi::v3(&registry, &group, &version),
            Route::Health | Route::Metrics | Route::Resource(_) | Route::Nothing => None,
        };
        let document = document.ok_or_else(ApiError::no_such_path)?;
        Ok(negotiate::json(StatusCode::OK, document.to_string()))
    }
}

/// Looks the request up in the table of endpoints.
fn check_endpoint(call: &Call, verb: Verb) -> Result<(), ApiError> {
    let kind = &call.found.kind;
    let place = match (call.subresource(), &call.target.name) {
        ("status", Some(_)) if call.found.version().status => Place::Status,
        ("scale", Some(_)) if call.found.version().scale.is_some() => Place::Scale,
        ("", Some(_)) => Place::Object,
        ("", None) if kind.namespaced && call.target.namespace.is_none() => Place::AllNamespaces,
        ("", None) => Place::Collection,
        _ => return Err(ApiError::no_such_path()),
    };
    match endpoint::verbs(kind.origin, place) {
        [] => Err(ApiError::no_such_path()),
        verbs if verbs.contains(&verb) => Ok(()),
        verbs => Err(ApiError::method_not_allowed(endpoint::allow(verbs))),
    }
}

async fn run(
    mut call: Call,
    verb: Verb,
    headers: &HeaderMap,
    bytes: &[u8],
) -> Result<Response<Body>, ApiError> {
    if call.found.kind.origin == Origin::Records {
        return verbs::records::answer(call, verb).await;
    }
    let decoded = |call: &Call| -> Result<Value, ApiError> {
        let value = body::decode(headers, bytes)?;
        tracing::trace!(
            verb = verb.name(),
            kind = call.found.kind.kind,
            "request body decoded"
        );
        Ok(value)
    };
    let scale = call.subresource() == "scale";
    if scale && call.view == View::Table {
        // There are no columns of a scale: clients that can, take the object instead.
        call.view = View::Full;
    }
    let outcome = match verb {
        Verb::Get if scale => verbs::scale::get(&call),
        Verb::Update if scale => {
            let object = decoded(&call)?;
            verbs::scale::update(&mut call, object).await
        }
        Verb::Patch if scale => {
            let patch = decoded(&call)?;
            verbs::scale::patch(&mut call, body::content_type(headers), patch).await
        }
        Verb::Get => verbs::read::get(&call),
        Verb::List => verbs::read::list(&call),
        Verb::Watch => return verbs::watch::watch(call),
        Verb::Create if call.found.kind.origin == Origin::Virtual => {
            let object = decoded(&call)?;
            verbs::reviews::create(&call, object)
        }
        Verb::Create => {
            let object = decoded(&call)?;
            verbs::write::create(&mut call, object).await
        }
        Verb::Update => {
            let object = decoded(&call)?;
            verbs::write::update(&mut call, object).await
        }
        Verb::Patch if call.target.name.is_none() => {
            let list = decoded(&call)?;
            verbs::apply_list::apply_list(&mut call, body::content_type(headers), list).await
        }
        Verb::Patch => {
            let patch = decoded(&call)?;
            verbs::write::patch(&mut call, body::content_type(headers), patch).await
        }
        Verb::Delete => {
            let options = decoded(&call)?;
            verbs::delete::delete(&mut call, &options).await
        }
        Verb::DeleteCollection => {
            let options = decoded(&call)?;
            verbs::delete::delete_collection(&mut call, &options).await
        }
    };
    let mut response = outcome?.render(&call);
    negotiate::add_warnings(&mut response, &call.warnings);
    Ok(response)
}

impl<B> tower::Service<Request<B>> for Router
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let router = self.clone();
        Box::pin(async move {
            // Locks are taken over from who panicked, and writes are all or nothing: others go on as if nothing happened.
            let answered = AssertUnwindSafe(router.answer(request)).catch_unwind().await;
            Ok(answered.unwrap_or_else(|_| {
                metrics::panicked(1);
                negotiate::failure(&ApiError::internal(
                    "the request met a defect of the server; see its log",
                ))
            }))
        })
    }
}
