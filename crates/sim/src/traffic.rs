//! What a client asks of the API, counted: a test can compare what the same change costs at sites of different sizes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;

/// Requests and bytes of answers so far, watches included. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Traffic(Arc<(AtomicU64, AtomicU64)>);

impl Traffic {
    /// Requests, and bytes of their answers.
    #[must_use]
    pub fn seen(&self) -> (u64, u64) {
        let (requests, bytes) = &*self.0;
        (requests.load(Ordering::SeqCst), bytes.load(Ordering::SeqCst))
    }

    /// A client that does what `client` does and is counted here.
    pub(crate) fn of(&self, client: Client) -> Client {
        let counts = Arc::clone(&self.0);
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (client, counts) = (client.clone(), Arc::clone(&counts));
            counts.0.fetch_add(1, Ordering::SeqCst);
            async move {
                let response = client.send(request).await?;
                let counted = response.map(|body| {
                    body.map_frame(move |frame| {
                        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                        counts.1.fetch_add(length, Ordering::SeqCst);
                        frame
                    })
                });
                Ok::<_, kube::Error>(counted)
            }
        });
        Client::new(service, "default")
    }
}
