//! `/boot/<file>` and `/ipxe/binary/<mac>/<file>`: kernel, installer, site CA, iPXE binaries.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Path, Request, State};
use axum::response::{IntoResponse, Response};
use boot_script::SITE_CA_FILE;
use http::{HeaderValue, StatusCode, header};

use crate::file_answer;
use crate::shared::{Shared, is_begin};

pub(crate) async fn boot_file(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(file): Path<String>,
    request: Request,
) -> Response {
    if file == SITE_CA_FILE {
        shared.record_fetch(&request, peer, format!("boot file {file}"));
        return shared.site_ca.clone().into_response();
    }
    plain_file(&shared, peer, &file, request).await
}

pub(crate) async fn binary(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path((_mac, file)): Path<(String, String)>,
    request: Request,
) -> Response {
    let mut response = plain_file(&shared, peer, &file, request).await;
    if response.status().is_success() && file.ends_with(".efi") {
        // UEFI HTTP boot goes by this type.
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/efi"));
    }
    response
}

async fn plain_file(shared: &Shared, peer: SocketAddr, file: &str, request: Request) -> Response {
    if !plain_name(file) {
        return StatusCode::NOT_FOUND.into_response();
    }
    shared.record_fetch(&request, peer, format!("boot file {file}"));
    let is_begin = is_begin(&request);
    let response = file_answer::answer(shared.boot_dir.join(file), request).await;
    if is_begin && response.status().is_success() {
        shared.fetched(peer, file);
    }
    response
}

/// A name without anything that could lead out of its directory or to a hidden file.
pub(crate) fn plain_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=100).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names() {
        for name in ["vmlinuz", "initramfs", "snponly.efi", "a-b_c.1"] {
            assert!(plain_name(name), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            ".hidden",
            "a/b",
            "a\\b",
            "a\0",
            "a b",
            "%2e%2e",
            "\u{e9}",
            &"a".repeat(101),
        ] {
            assert!(!plain_name(name), "{name}");
        }
    }
}
