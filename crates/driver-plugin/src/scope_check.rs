//! What the checks of scopes say of a cluster. Pure.

use driver::v1::{CheckItem, CheckResult};
use resources::conditions::{Fact, Holds};

/// What came of the check of one scope.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Checked {
    /// The driver answered.
    Items(Vec<CheckItem>),
    /// It could not be asked, and why.
    Unknown(String),
}

/// Whether the provider can make every machine that is wanted.
pub(crate) fn ready(provider: &str, scopes: &[(String, Checked)]) -> Fact {
    let kind = "Ready";
    let unknown: Vec<&str> = scopes
        .iter()
        .filter_map(|(_, checked)| match checked {
            Checked::Unknown(why) => Some(why.as_str()),
            Checked::Items(_) => None,
        })
        .collect();
    let failed = lines(scopes, CheckResult::Fail);
    if !failed.is_empty() {
        return (kind, Holds::False, "ScopeCheckFailed", failed.join("\n"));
    }
    if !unknown.is_empty() {
        return (kind, Holds::Unknown, "CannotAsk", unknown.join("\n"));
    }
    let mut text = format!("driver {provider} has found nothing that is in the way of the machines");
    for warning in lines(scopes, CheckResult::Warn) {
        text.push_str("; warning: ");
        text.push_str(&warning);
    }
    (kind, Holds::True, "ScopeChecked", text)
}

fn lines(scopes: &[(String, Checked)], result: CheckResult) -> Vec<String> {
    let of_scope = |(scope, checked): &(String, Checked)| -> Vec<String> {
        let Checked::Items(items) = checked else {
            return Vec::new();
        };
        let found = items.iter().filter(|item| item.result() == result);
        found.map(|item| printed(scope, item)).collect()
    };
    scopes.iter().flat_map(of_scope).collect()
}

fn printed(scope: &str, item: &CheckItem) -> String {
    let mut text = format!("scope {scope}: {}: {}", item.id, item.message);
    if !item.field.is_empty() {
        text.push_str(&format!(" ({})", item.field));
    }
    if !item.remedy.is_empty() {
        text.push_str(&format!("; {}", item.remedy));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, result: CheckResult, field: &str) -> CheckItem {
        CheckItem {
            id: id.to_owned(),
            result: result.into(),
            field: field.to_owned(),
            message: format!("{id} was looked at"),
            remedy: "Name another one.".to_owned(),
        }
    }

    #[test]
    fn failures_come_before_what_is_not_known_and_warnings_last() {
        let good = (
            "a".to_owned(),
            Checked::Items(vec![item("login", CheckResult::Pass, "")]),
        );
        let warns = (
            "b".to_owned(),
            Checked::Items(vec![item("tls", CheckResult::Warn, "")]),
        );
        let bad = item("network", CheckResult::Fail, "/scope/config/network");
        let fails = ("c".to_owned(), Checked::Items(vec![bad]));
        let down = ("d".to_owned(), Checked::Unknown("driver x is waiting".to_owned()));
        let said = |scopes: &[(String, Checked)]| {
            let (_, holds, reason, text) = ready("x", scopes);
            (holds, reason, text)
        };
        let (holds, reason, text) = said(&[good.clone(), warns.clone()]);
        assert_eq!((holds, reason), (Holds::True, "ScopeChecked"));
        assert!(
            text.ends_with("; warning: scope b: tls: tls was looked at; Name another one."),
            "{text}"
        );
        let (holds, _, text) = said(&[good.clone(), down.clone()]);
        assert_eq!((holds, text.as_str()), (Holds::Unknown, "driver x is waiting"));
        let (holds, reason, text) = said(&[good, warns, fails, down]);
        assert_eq!((holds, reason), (Holds::False, "ScopeCheckFailed"));
        assert_eq!(
            text,
            "scope c: network: network was looked at (/scope/config/network); Name another one."
        );
    }
}
