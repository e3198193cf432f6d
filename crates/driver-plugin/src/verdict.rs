//! What follows from an error of a driver. Decided by code and reason, never by the text.

use driver::Fault;
use driver::v1::Reason;
use resources::gantry::PluginFault;
use tonic::Code;

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The same call again after a while.
    Again,
    /// The same call when something has changed, and now and then.
    Change,
    /// No call in the scope before its credential has changed.
    Pause,
    /// The machine can't be made; another one may.
    GiveUp,
}

/// The verdict on a call that was to make a machine.
pub(crate) fn verdict(fault: &Fault) -> Verdict {
    match fault.reason() {
        Reason::Auth | Reason::Permission | Reason::Cert => Verdict::Pause,
        Reason::InvalidSpec | Reason::ImageMissing | Reason::NetworkMissing | Reason::StateVersion => {
            Verdict::Change
        }
        Reason::ConflictName | Reason::ConflictSpec | Reason::Foreign => Verdict::GiveUp,
        Reason::Unspecified => by_code(fault.code),
        Reason::Quota
        | Reason::Capacity
        | Reason::Throttled
        | Reason::Unreachable
        | Reason::Fenced
        | Reason::TaskFailed
        | Reason::Bug
        | Reason::Busy
        | Reason::Draining
        | Reason::InUse => Verdict::Again,
    }
}

/// Of a driver that gives no detail.
const fn by_code(code: Code) -> Verdict {
    match code {
        Code::Unauthenticated | Code::PermissionDenied => Verdict::Pause,
        Code::InvalidArgument | Code::NotFound | Code::Unimplemented => Verdict::Change,
        Code::AlreadyExists => Verdict::GiveUp,
        _ => Verdict::Again,
    }
}

/// The fault as the status keeps it.
pub(crate) fn kept(fault: &Fault) -> PluginFault {
    let detail = &fault.detail;
    let reason = match fault.reason() {
        Reason::Unspecified => format!("{:?}", fault.code),
        reason => reason.as_str_name().trim_start_matches("REASON_").to_owned(),
    };
    PluginFault {
        reason,
        message: fault.message.clone(),
        provider_code: detail.provider_code.clone(),
        provider_request_id: detail.provider_request_id.clone(),
        field: detail.field.clone(),
    }
}

/// The fault in a line for people.
pub(crate) fn line(fault: &PluginFault) -> String {
    let mut text = format!("{}: {}", fault.reason, fault.message);
    let details = [
        ("field", &fault.field),
        ("provider code", &fault.provider_code),
        ("provider request", &fault.provider_request_id),
    ];
    let details = details.into_iter().filter(|(_, value)| !value.is_empty());
    let details: Vec<String> = details.map(|(name, value)| format!("{name} {value}")).collect();
    if !details.is_empty() {
        text.push_str(&format!(" ({})", details.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_verdict() {
        let all = [
            (Reason::InvalidSpec, Verdict::Change),
            (Reason::ImageMissing, Verdict::Change),
            (Reason::NetworkMissing, Verdict::Change),
            (Reason::Quota, Verdict::Again),
            (Reason::Capacity, Verdict::Again),
            (Reason::Auth, Verdict::Pause),
            (Reason::Permission, Verdict::Pause),
            (Reason::Throttled, Verdict::Again),
            (Reason::Unreachable, Verdict::Again),
            (Reason::ConflictName, Verdict::GiveUp),
            (Reason::ConflictSpec, Verdict::GiveUp),
            (Reason::Foreign, Verdict::GiveUp),
            (Reason::Fenced, Verdict::Again),
            (Reason::TaskFailed, Verdict::Again),
            (Reason::Cert, Verdict::Pause),
            (Reason::Bug, Verdict::Again),
            (Reason::Busy, Verdict::Again),
            (Reason::Draining, Verdict::Again),
            (Reason::InUse, Verdict::Again),
            (Reason::StateVersion, Verdict::Change),
        ];
        for (reason, expected) in all {
            assert_eq!(verdict(&Fault::new(reason, "")), expected, "{reason:?}");
        }
        assert_eq!(all.len(), 20, "the contract has so many");
    }

    #[test]
    fn without_detail_the_code_decides() {
        for (code, expected) in [
            (Code::Unauthenticated, Verdict::Pause),
            (Code::PermissionDenied, Verdict::Pause),
            (Code::InvalidArgument, Verdict::Change),
            (Code::Unimplemented, Verdict::Change),
            (Code::AlreadyExists, Verdict::GiveUp),
            (Code::Unknown, Verdict::Again),
            (Code::Unavailable, Verdict::Again),
            (Code::FailedPrecondition, Verdict::Again),
        ] {
            let fault = Fault::from(&tonic::Status::new(code, "gone"));
            assert_eq!(verdict(&fault), expected, "{code:?}");
        }
    }

    #[test]
    fn a_line_has_what_the_provider_said() {
        let mut fault = Fault::invalid("/spec/provider/tier", "no such tier").with_provider_code("E42");
        fault.detail.provider_request_id = "r-7".to_owned();
        assert_eq!(
            line(&kept(&fault)),
            "INVALID_SPEC: no such tier (field /spec/provider/tier, provider code E42, provider request r-7)"
        );
        let fault = Fault::from(&tonic::Status::new(Code::Unavailable, "gone"));
        assert_eq!(line(&kept(&fault)), "Unavailable: gone");
    }
}
