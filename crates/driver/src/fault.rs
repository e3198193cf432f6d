//! An error of a driver: what a call answers with, and what the core decides by.

use std::time::Duration;

use prost::Message as _;
use tonic::{Code, Status};

use crate::v1::{Blast, ErrorDetail, Reason, Retry};

/// Type URL of the detail in `google.rpc.Status`.
const TYPE_URL: &str = "type.googleapis.com/machine.driver.v1.ErrorDetail";

/// A status of gRPC with the contract's detail. The text is for people and holds no secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// The code.
    pub code: Code,
    /// What went wrong, and what a person can do.
    pub message: String,
    /// What the core decides by.
    pub detail: Box<ErrorDetail>,
}

impl Fault {
    /// A fault of a reason, with the code, retry and blast that the contract has for it. It counts as one that may have had
    /// an effect until [`Self::without_effect`] says otherwise.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        let (code, retry, blast) = meaning(reason);
        Self {
            code,
            message: message.into(),
            detail: Box::new(ErrorDetail {
                reason: reason.into(),
                retry: retry.into(),
                blast: blast.into(),
                may_have_side_effects: true,
                ..ErrorDetail::default()
            }),
        }
    }

    /// A request that does not fit. `field` is a JSON pointer into it.
    #[must_use]
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        let mut fault = Self::new(Reason::InvalidSpec, message).without_effect();
        fault.detail.field = field.into();
        fault
    }

    /// The request provably never left, or was refused before it had an effect.
    #[must_use]
    pub fn without_effect(mut self) -> Self {
        self.detail.may_have_side_effects = false;
        self
    }

    /// The same call not before this time has passed.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.detail.retry_after = prost_types::Duration::try_from(wait).ok();
        self
    }

    /// The provider's own code of the error.
    #[must_use]
    pub fn with_provider_code(mut self, code: impl Into<String>) -> Self {
        self.detail.provider_code = code.into();
        self
    }

    /// Why it failed.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.detail.reason()
    }

    /// How long to wait at least, where the driver says so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        Duration::try_from(self.detail.retry_after?).ok()
    }

    /// Whether nothing is known of what the call has done: only then, and after a dead process, an object may exist of
    /// which no answer tells.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(
            self.code,
            Code::Unknown | Code::DeadlineExceeded | Code::Internal | Code::Cancelled
        ) || self.detail.may_have_side_effects
    }
}

/// What the contract has for a reason.
const fn meaning(reason: Reason) -> (Code, Retry, Blast) {
    match reason {
        Reason::InvalidSpec => (Code::InvalidArgument, Retry::AfterChange, Blast::Machine),
        Reason::ImageMissing | Reason::NetworkMissing => (Code::NotFound, Retry::AfterChange, Blast::Machine),
        Reason::Quota => (Code::ResourceExhausted, Retry::OtherDomain, Blast::Scope),
        Reason::Capacity => (Code::ResourceExhausted, Retry::OtherDomain, Blast::FailureDomain),
        Reason::Throttled => (Code::ResourceExhausted, Retry::Same, Blast::Credential),
        Reason::Auth => (Code::Unauthenticated, Retry::AfterChange, Blast::Credential),
        Reason::Permission => (Code::PermissionDenied, Retry::AfterChange, Blast::Credential),
        Reason::Cert => (Code::Unauthenticated, Retry::AfterChange, Blast::Scope),
        Reason::Unreachable => (Code::Unavailable, Retry::Same, Blast::Scope),
        Reason::ConflictName => (Code::AlreadyExists, Retry::Never, Blast::Machine),
        Reason::ConflictSpec => (Code::AlreadyExists, Retry::Never, Blast::Machine),
        Reason::Foreign => (Code::FailedPrecondition, Retry::Never, Blast::Machine),
        Reason::Fenced => (Code::FailedPrecondition, Retry::Never, Blast::Driver),
        Reason::InUse => (Code::FailedPrecondition, Retry::AfterChange, Blast::Machine),
        Reason::StateVersion => (Code::FailedPrecondition, Retry::Never, Blast::Machine),
        Reason::Busy => (Code::Aborted, Retry::Same, Blast::Machine),
        Reason::Draining => (Code::Unavailable, Retry::Same, Blast::Driver),
        Reason::TaskFailed => (Code::Unknown, Retry::Same, Blast::Machine),
        Reason::Bug | Reason::Unspecified => (Code::Internal, Retry::Same, Blast::Driver),
    }
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        let detail = prost_types::Any {
            type_url: TYPE_URL.to_owned(),
            value: fault.detail.encode_to_vec(),
        };
        let details = tonic_types::pb::Status {
            code: fault.code as i32,
            message: fault.message.clone(),
            details: vec![detail],
        };
        Self::with_details(fault.code, fault.message, details.encode_to_vec().into())
    }
}

impl From<&Status> for Fault {
    /// A status without a readable detail is one that may have had an effect.
    fn from(status: &Status) -> Self {
        let details = tonic_types::pb::Status::decode(status.details()).unwrap_or_default();
        let detail = details
            .details
            .iter()
            .find(|detail| detail.type_url == TYPE_URL)
            .and_then(|detail| ErrorDetail::decode(detail.value.as_slice()).ok());
        Self {
            code: status.code(),
            message: status.message().to_owned(),
            detail: Box::new(detail.unwrap_or_else(|| ErrorDetail {
                may_have_side_effects: true,
                ..ErrorDetail::default()
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic::{Code, Status};

    use super::Fault;
    use crate::v1::{Reason, Retry};

    #[test]
    fn the_detail_passes_through_a_status() {
        let fault = Fault::new(Reason::Throttled, "too many requests")
            .without_effect()
            .after(Duration::from_secs(7));
        let status = Status::from(fault.clone());
        assert_eq!(status.code(), Code::ResourceExhausted);
        let read = Fault::from(&status);
        assert_eq!(read, fault);
        assert_eq!(read.retry_after(), Some(Duration::from_secs(7)));
        assert!(!read.is_outcome_unknown());
    }

    #[test]
    fn a_status_without_detail_may_have_had_an_effect() {
        let status = Status::with_details(Code::Unavailable, "gone", vec![0xff, 0x01].into());
        let read = Fault::from(&status);
        assert!(read.is_outcome_unknown());
        assert_eq!(read.reason(), Reason::Unspecified);
    }

    #[test]
    fn every_reason_has_a_meaning() {
        for number in 1..=20 {
            let reason = Reason::try_from(number).unwrap_or_default();
            assert_ne!(reason, Reason::Unspecified, "reason {number}");
            let fault = Fault::new(reason, "");
            assert_ne!(fault.detail.retry(), Retry::Unspecified, "{reason:?}");
            assert_eq!(fault.code == Code::Internal, reason == Reason::Bug, "{reason:?}");
        }
        assert!(Reason::try_from(21).is_err(), "a reason without a row here");
    }
}
