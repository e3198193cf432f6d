//! The provider: objects in memory behind an HTTP API.

mod object;
mod routes;
mod state;

use tokio::net::TcpListener;
use tokio::task::AbortHandle;

pub(crate) use object::Marks;
pub use object::{NewObject, Object, ObjectPower};
pub(crate) use state::{IMAGES, NETWORK};
pub use state::{PASSWORD, Trouble};

use state::Shared;

/// A provider that runs.
#[derive(Debug)]
pub struct MemoryProvider {
    state: Shared,
    address: std::net::SocketAddr,
    server: AbortHandle,
}

impl MemoryProvider {
    /// Starts on a free port of the loopback interface.
    ///
    /// # Errors
    /// When nothing can listen there.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = Shared::default();
        let router = routes::router(state.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            state,
            address,
            server: server.abort_handle(),
        })
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its objects, by id.
    #[must_use]
    pub fn objects(&self) -> Vec<Object> {
        self.state.lock().objects.values().cloned().collect()
    }

    /// Sessions that are open.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.state.lock().sessions.len()
    }

    /// Logins so far, those that were refused included.
    #[must_use]
    pub fn logins(&self) -> u64 {
        self.state.lock().logins
    }

    /// From now on something is wrong with it, or nothing any more.
    pub fn set_trouble(&self, trouble: Option<Trouble>) {
        self.state.lock().trouble = trouble;
    }

    pub(crate) const fn state(&self) -> &Shared {
        &self.state
    }
}

impl Drop for MemoryProvider {
    fn drop(&mut self) {
        self.server.abort();
    }
}
