//! C: checks of a scope.

use serde_json::Value;
use tonic::Code;

use crate::conformance::case::{Case, case};
use crate::conformance::driven::Driven;
use crate::conformance::hooks::Hook;
use crate::conformance::parameters::{Missing, secrets};
use crate::conformance::subject::Subject;
use crate::conformance::verdict::{Checked, Problem, ensure};
use crate::json;
use crate::v1::{CheckItem, CheckResult, CheckScopeRequest, Scope, Spec};

pub(super) const CASES: &[Case] = &[
    case!("C1", "finds nothing wrong with a scope that is right", good_scope),
    case!("C2", "changes nothing when it checks", changes_nothing),
    case!("C3", "says that the secrets are wrong", wrong_secrets),
    case!(
        "C4",
        "names the field that names nothing, and a remedy",
        missing_names
    ),
];

async fn check(driven: &Driven, scope: Scope, spec: Spec) -> Result<Vec<CheckItem>, tonic::Status> {
    let request = CheckScopeRequest {
        scope: Some(scope),
        specs: vec![spec],
        counts: vec![1],
    };
    let mut stream = driven.machines().check_scope(request).await?.into_inner();
    let mut items = Vec::new();
    while let Some(item) = stream.message().await? {
        items.push(item);
    }
    Ok(items)
}

fn failures(items: &[CheckItem]) -> Vec<&CheckItem> {
    items
        .iter()
        .filter(|item| item.result() == CheckResult::Fail)
        .collect()
}

async fn good_scope(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let items = check(&driven, subject.parameters.scope(), subject.parameters.spec()).await?;
    ensure!(
        !items.is_empty(),
        "CheckScope finds nothing at all, not even what is right"
    );
    let failed = failures(&items);
    ensure!(failed.is_empty(), "CheckScope finds {failed:?}");
    Ok(())
}

async fn changes_nothing(subject: &Subject) -> Checked {
    let before = subject.count(Hook::CountObjects).await?;
    let driven = subject.start().await?;
    check(&driven, subject.parameters.scope(), subject.parameters.spec()).await?;
    let after = subject.count(Hook::CountObjects).await?;
    ensure!(before == after, "CheckScope made {before} objects {after}");
    Ok(())
}

async fn wrong_secrets(subject: &Subject) -> Checked {
    let Some(wrong) = &subject.parameters.wrong_secrets else {
        return Err(Problem::NotRun("the parameters have no wrongSecrets".to_owned()));
    };
    let driven = subject.start().await?;
    let mut scope = subject.parameters.scope();
    scope.secrets = secrets(wrong);
    scope.secrets_generation = 2;
    let items = check(&driven, scope.clone(), subject.parameters.spec()).await?;
    ensure!(
        !failures(&items).is_empty(),
        "CheckScope finds nothing wrong with wrong secrets"
    );
    let mut order = subject.order_in(scope);
    let Err(status) = driven.create_once(&mut order).await else {
        return Err("CreateMachine succeeds with wrong secrets".into());
    };
    ensure!(
        matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied),
        "with wrong secrets CreateMachine answers {:?} and not UNAUTHENTICATED",
        status.code()
    );
    Ok(())
}

async fn missing_names(subject: &Subject) -> Checked {
    if subject.parameters.missing.is_empty() {
        return Err(Problem::NotRun(
            "the parameters name nothing in `missing`".to_owned(),
        ));
    }
    let driven = subject.start().await?;
    for missing in &subject.parameters.missing {
        let (scope, spec) = with(subject, missing)?;
        let items = check(&driven, scope, spec).await?;
        let Some(found) = failures(&items)
            .into_iter()
            .find(|item| item.field == missing.field)
        else {
            return Err(format!("CheckScope does not say FAIL with field {}", missing.field).into());
        };
        ensure!(
            !found.message.is_empty() && !found.remedy.is_empty(),
            "what CheckScope says of {} has no message or no remedy",
            missing.field
        );
    }
    Ok(())
}

/// Scope and spec with a value in one place.
fn with(subject: &Subject, missing: &Missing) -> Result<(Scope, Spec), Problem> {
    let (mut scope, mut spec) = (subject.parameters.scope(), subject.parameters.spec());
    let place = missing.field.as_str();
    if let Some(name) = place.strip_prefix("/scope/config/") {
        let mut config = subject.parameters.config.clone();
        config.insert(name.to_owned(), Value::from(missing.value.clone()));
        scope.config = Some(json::to_struct(&config));
    } else if place == "/specs/0/image_ref" {
        spec.image_ref.clone_from(&missing.value);
    } else if let Some(name) = place.strip_prefix("/specs/0/provider/") {
        let mut provider = subject.parameters.spec.provider.clone();
        provider.insert(name.to_owned(), Value::from(missing.value.clone()));
        spec.provider = Some(json::to_struct(&provider));
    } else {
        return Err(Problem::NotRun(format!(
            "`missing` names {place}, and only /scope/config/NAME, /specs/0/image_ref and /specs/0/provider/NAME are known"
        )));
    }
    Ok((scope, spec))
}
