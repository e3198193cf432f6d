//! `POST /v1/first-boot` and below it: the installed system shows itself, gets its data once, and says how it fares.
//!
//! The peer is known by its first-boot certificate alone, which counts as long as no newer attempt is wanted. That it asked is
//! committed before anything else, since the data (a bootstrap Secret with a fresh join token) is minted only after that; it
//! is handed out when `deliveredAt` is committed. The same key may ask again until it says `done` or `failed`: then it gets
//! no data any more, and the value is removed from the Secret. A file that is too big for the data is given out as they are,
//! if the Secret names it (annotation [`resources::keys::FIRST_BOOT_FILE`]).
//!
//! | route | body | changes |
//! |---|---|---|
//! | `/v1/first-boot` | none | `requestedAt`, `deliveredAt` |
//! | `/v1/first-boot/file/<sha256>` | none | nothing |
//! | `/v1/first-boot/stage` | `{"stage"}` | `stage` |
//! | `/v1/first-boot/failed` | `{"stage", "exitStatus", "lines"}` | `failure`, by the first report that counts |
//! | `/v1/first-boot/done` | none | `revokedAt` |

mod call;
mod delivery;
mod file;
mod report;
mod reported;
mod secrets;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;

use crate::context::Context;

pub use secrets::without_secrets;

/// Longest body that is read, in bytes. What is kept of it is much less.
const BODY: usize = 64 << 10;

pub(crate) fn router(context: Context) -> Router {
    Router::new()
        .route("/v1/first-boot", post(delivery::first_boot))
        .route("/v1/first-boot/file/{sha256}", post(file::file))
        .route("/v1/first-boot/stage", post(report::stage))
        .route("/v1/first-boot/failed", post(report::failed))
        .route("/v1/first-boot/done", post(delivery::done))
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(context)
}
