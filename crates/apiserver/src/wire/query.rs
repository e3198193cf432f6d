//! Query parameters of the verbs. Pure.

use std::time::Duration;

use crate::meta::deletion::Propagation;
use crate::status::{ApiError, Cause};

/// `fieldValidation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum FieldValidation {
    Strict,
    #[default]
    Warn,
    Ignore,
}

/// All parameters that the server reads; the others are ignored, as the real server does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) watch: bool,
    pub(crate) label_selector: String,
    pub(crate) field_selector: String,
    pub(crate) limit: usize,
    pub(crate) continue_token: String,
    pub(crate) resource_version: String,
    pub(crate) version_match: String,
    /// How long a watch may last.
    pub(crate) timeout: Option<Duration>,
    pub(crate) allow_bookmarks: bool,
    pub(crate) send_initial_events: bool,
    pub(crate) dry_run: bool,
    pub(crate) field_manager: String,
    pub(crate) field_validation: FieldValidation,
    pub(crate) force: Option<bool>,
    pub(crate) include_object: String,
    pub(crate) propagation: Option<Propagation>,
}

impl Query {
    /// Parses the part after the question mark.
    pub(crate) fn parse(text: &str) -> Result<Query, ApiError> {
        let mut query = Query::default();
        for (key, value) in url::form_urlencoded::parse(text.as_bytes()) {
            let value = value.into_owned();
            match &*key {
                "watch" => query.watch = flag(&key, &value)?,
                "labelSelector" => query.label_selector = value,
                "fieldSelector" => query.field_selector = value,
                "limit" if !value.is_empty() => query.limit = limit(&key, &value)?,
                "continue" => query.continue_token = value,
                "resourceVersion" => query.resource_version = value,
                "resourceVersionMatch" => query.version_match = value,
                "timeoutSeconds" if !value.is_empty() => query.timeout = Some(timeout(&key, &value)?),
                "allowWatchBookmarks" => query.allow_bookmarks = flag(&key, &value)?,
                "sendInitialEvents" => query.send_initial_events = flag(&key, &value)?,
                "dryRun" => query.dry_run = dry_run(&value)?,
                "fieldManager" => query.field_manager = value,
                "fieldValidation" => query.field_validation = field_validation(&value)?,
                "force" => query.force = Some(flag(&key, &value)?),
                "includeObject" => query.include_object = value,
                "propagationPolicy" => query.propagation = Some(propagation(&value)?),
                _ => {}
            }
        }
        Ok(query)
    }
}

fn flag(key: &str, value: &str) -> Result<bool, ApiError> {
    match value {
        "true" | "1" | "" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(ApiError::bad_request(format!(
            "invalid value for {key}: {value:?}"
        ))),
    }
}

/// Numbers of query parameters are signed and have 64 bits, as in kube-apiserver.
fn number(key: &str, value: &str) -> Result<i64, ApiError> {
    value
        .parse()
        .map_err(|_| ApiError::bad_request(format!("invalid value for {key}: {value:?}")))
}

/// Objects in one answer; without a positive number all of them.
fn limit(key: &str, value: &str) -> Result<usize, ApiError> {
    Ok(usize::try_from(number(key, value)?).unwrap_or(0))
}

/// A time that has no end in practice is a year, which can be added to any instant.
fn timeout(key: &str, value: &str) -> Result<Duration, ApiError> {
    const YEAR: u64 = 365 * 24 * 3600;
    let seconds = u64::try_from(number(key, value)?).unwrap_or(0);
    Ok(Duration::from_secs(seconds.min(YEAR)))
}

pub(crate) fn dry_run(value: &str) -> Result<bool, ApiError> {
    match value {
        "" => Ok(false),
        "All" => Ok(true),
        other => Err(ApiError::bad_request(format!(
            "dryRun: Unsupported value: {other:?}: supported values: \"All\""
        ))),
    }
}

/// `propagationPolicy`.
pub(crate) fn propagation(value: &str) -> Result<Propagation, ApiError> {
    match value {
        "Orphan" => Ok(Propagation::Orphan),
        "Background" => Ok(Propagation::Background),
        "Foreground" => Ok(Propagation::Foreground),
        other => {
            let supported = ["Background", "Foreground", "Orphan"].map(Into::into);
            let cause = Cause::unsupported("propagationPolicy", &other.into(), &supported);
            Err(ApiError::invalid("meta.k8s.io", "DeleteOptions", "", &[cause]))
        }
    }
}

fn field_validation(value: &str) -> Result<FieldValidation, ApiError> {
    match value {
        "" | "Warn" => Ok(FieldValidation::Warn),
        "Strict" => Ok(FieldValidation::Strict),
        "Ignore" => Ok(FieldValidation::Ignore),
        other => Err(ApiError::bad_request(format!(
            "fieldValidation: Unsupported value: {other:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_and_bad_ones_refused() {
        let query =
            Query::parse("watch=1&labelSelector=a%3Db%2Cc&limit=5&dryRun=All&fieldValidation=Strict&x=y")
                .unwrap();
        assert!(query.watch && query.dry_run);
        assert_eq!((query.label_selector.as_str(), query.limit), ("a=b,c", 5));
        assert_eq!(query.field_validation, FieldValidation::Strict);
        for bad in [
            "watch=maybe",
            "limit=x",
            "dryRun=Some",
            "fieldValidation=No",
            "propagationPolicy=Down",
            "timeoutSeconds=18446744073709551615",
            "timeoutSeconds=1s",
            "limit=9223372036854775808",
        ] {
            assert!(Query::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_have_the_range_of_the_real_server() {
        let timeout = |text: &str| Query::parse(text).unwrap().timeout.map(|t| t.as_secs());
        assert_eq!(timeout("timeoutSeconds=9223372036854775807"), Some(31_536_000));
        assert_eq!(timeout("timeoutSeconds=-1"), Some(0));
        assert_eq!(timeout("timeoutSeconds="), None);
        let limit = |text: &str| Query::parse(text).unwrap().limit;
        assert_eq!((limit("limit=-5"), limit("limit="), limit("limit=7")), (0, 0, 7));
    }
}
