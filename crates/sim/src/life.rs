//! A process that is killed: it makes so many writes, and from then on nothing that it asks for is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kube::Client;
use kube::client::Body;

/// How many writes are left, and one more while it lives. Clones are the same life.
#[derive(Debug, Clone)]
pub struct Life {
    left: Arc<AtomicUsize>,
    /// Whether the write with which it ends is made, and its answer is heard by nobody.
    makes_last: bool,
}

impl Life {
    /// Ends instead of the write after so many.
    #[must_use]
    pub fn of(writes: usize) -> Self {
        Self {
            left: Arc::new(AtomicUsize::new(writes.saturating_add(1))),
            makes_last: false,
        }
    }

    /// Ends after so many writes, one at least, before it hears the answer to the last of them.
    #[must_use]
    pub fn without_last_answer(writes: usize) -> Self {
        Self {
            left: Arc::new(AtomicUsize::new(writes.max(1))),
            makes_last: true,
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }

    /// Whether it has not.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        !self.is_over()
    }

    /// Counts a write. Tells whether it is made.
    #[must_use]
    pub fn write(&self) -> bool {
        let less = |left: usize| left.checked_sub(1);
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        left.is_ok_and(|left| left > 1 || self.makes_last)
    }

    /// A client of an API that lives as long.
    #[must_use]
    pub fn client(&self, client: &Client, namespace: &str) -> Client {
        let (life, client) = (self.clone(), client.clone());
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (life, client) = (life.clone(), client.clone());
            let answers = match request.method() == http::Method::GET {
                true => life.goes_on(),
                false => life.write(),
            };
            let is_write = request.method() != http::Method::GET;
            async move {
                let killed = || -> Box<dyn std::error::Error + Send + Sync> { "killed".into() };
                if !answers {
                    return Err(killed());
                }
                let answer = client.send(request).await;
                if is_write && life.is_over() {
                    return Err(killed());
                }
                answer.map_err(Into::into)
            }
        });
        Client::new(service, namespace)
    }
}
