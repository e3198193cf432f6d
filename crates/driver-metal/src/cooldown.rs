//! How long a server whose installation has failed is passed over.

use jiff::{SignedDuration, Timestamp};
use resources::gantry::{InstallationFailure, Server};
use steps::later;

/// The rule, at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Cooldown {
    /// How long a failure counts.
    pub span: SignedDuration,
    /// Now.
    pub now: Timestamp,
}

impl Cooldown {
    /// The failure for which a server is passed over now: not older than the span, and after a person's last wish to have
    /// the server tried again.
    #[must_use]
    pub fn failure<'a>(&self, server: &'a Server) -> Option<&'a InstallationFailure> {
        let failure = server.spec.last_failure.as_ref()?;
        Self::end(server, self.span)
            .is_some_and(|end| self.now < end)
            .then_some(failure)
    }

    /// When a server ceases to be passed over; `None` where it is not.
    #[must_use]
    pub fn end(server: &Server, span: SignedDuration) -> Option<Timestamp> {
        let failure = server.spec.last_failure.as_ref()?;
        let forgiven = server.spec.retry_requested_at.as_ref();
        forgiven
            .is_none_or(|wish| wish.0 < failure.at.0)
            .then(|| later(failure.at.0, span))
    }
}
