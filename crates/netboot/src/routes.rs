//! The routes.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use boot_script::{EventSender, SiteSettings, ViewHandle};
use http::{StatusCode, Uri};
use tower::ServiceExt;

use crate::archive::site_ca_archive;
use crate::error::Error;
use crate::shared::Shared;
use crate::{boot_files, images, scripts};

/// Settings of the service.
#[derive(Debug, Clone)]
pub struct Config {
    /// The site.
    pub site: SiteSettings,
    /// Directory with `vmlinuz`, `initramfs` and the iPXE binaries.
    pub boot_dir: PathBuf,
    /// Directory with the images: `<64 hex digits>` and `<64 hex digits>.manifest.json`.
    pub images_dir: PathBuf,
    /// Certificate of the site CA (PEM), public.
    pub site_ca: String,
}

/// What the service works with.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Whom to serve.
    pub view: Arc<ViewHandle>,
    /// Where requests are recorded.
    pub events: EventSender,
}

/// The boot routes. Requests need `ConnectInfo<SocketAddr>`, which [`crate::run_http`] gives.
///
/// # Errors
/// If the site CA is no certificate.
pub fn router(config: Config, deps: Deps) -> Result<Router, Error> {
    let Config {
        site,
        boot_dir,
        images_dir,
        site_ca,
    } = config;
    let Deps { view, events } = deps;
    let site_ca = site_ca_archive(&site_ca)?.into();
    let shared = Arc::new(Shared {
        site,
        boot_dir,
        images_dir,
        site_ca,
        view,
        events,
    });
    let routes = Router::new()
        .route("/ipxe/script/auto.ipxe", get(scripts::by_address))
        .route("/ipxe/script/{mac}/auto.ipxe", get(scripts::by_mac))
        .route("/ipxe/binary/{mac}/{file}", get(boot_files::binary))
        .route("/boot/{file}", get(boot_files::boot_file))
        .route("/images/{digest}", get(images::image))
        .route("/images/{digest}/manifest.json", get(images::manifest))
        .with_state(shared);
    Ok(routes
        .clone()
        .fallback(move |request| without_doubled_slashes(routes, request)))
}

/// Serves `//ipxe/...` as `/ipxe/...`: firmware joins a server and a path with one slash too many, and follows no
/// redirect.
async fn without_doubled_slashes(routes: Router, mut request: Request) -> Response {
    let Some(uri) = single_slashes(request.uri()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    *request.uri_mut() = uri;
    routes.oneshot(request).await.into_response()
}

/// The address with single slashes in its path; `None` if it has no others.
fn single_slashes(uri: &Uri) -> Option<Uri> {
    if !uri.path().contains("//") {
        return None;
    }
    let mut path = String::with_capacity(uri.path().len());
    for character in uri.path().chars() {
        if character != '/' || !path.ends_with('/') {
            path.push(character);
        }
    }
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    path.parse().ok()
}
