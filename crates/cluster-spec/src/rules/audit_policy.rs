//! `auditPolicyContent`: a Policy with which kube-apiserver starts.

use serde_json::Value;

use crate::bundle::ClusterBundle;
use crate::violation::Report;

const API_VERSION: &str = "audit.k8s.io/v1";
const LEVELS: [&str; 4] = ["None", "Metadata", "Request", "RequestResponse"];
const STAGES: [&str; 4] = ["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"];
/// Fields of a rule (audit.k8s.io/v1 PolicyRule).
const RULE: [&str; 9] = [
    "level",
    "users",
    "userGroups",
    "verbs",
    "resources",
    "namespaces",
    "nonResourceURLs",
    "omitStages",
    "omitManagedFields",
];
/// Flags that the field stands for.
const FLAGS: [&str; 2] = ["audit-policy-file", "audit-log-path"];

pub(super) fn check(bundle: &ClusterBundle, report: &mut Report) {
    let control = &bundle.cluster.spec.control_plane_configuration;
    let Some(content) = &control.audit_policy_content else {
        return;
    };
    let path = "spec.controlPlaneConfiguration";
    for flag in FLAGS {
        if control.api_server_extra_args.contains_key(flag) {
            report.add(
                format!("{path}.apiServerExtraArgs.{flag}"),
                "auditPolicyContent decides this flag",
                "remove it, or auditPolicyContent",
            );
        }
    }
    if let Err((message, next_step)) = policy(content) {
        report.add(format!("{path}.auditPolicyContent"), message, next_step);
    }
}

fn policy(content: &str) -> Result<(), (String, String)> {
    let wrong = |message: String, next_step: &str| Err((message, next_step.to_owned()));
    let policy: Value = match serde_saphyr::from_str(content) {
        Ok(policy) => policy,
        Err(error) => return wrong(format!("not YAML: {error}"), "correct it"),
    };
    let (version, kind) = (policy["apiVersion"].as_str(), policy["kind"].as_str());
    if version != Some(API_VERSION) || kind != Some("Policy") {
        return wrong(
            format!(
                "apiVersion {} and kind {} are not those of an audit policy",
                version.unwrap_or("(none)"),
                kind.unwrap_or("(none)")
            ),
            "begin the text with apiVersion: audit.k8s.io/v1 and kind: Policy",
        );
    }
    let rules = policy["rules"].as_array().filter(|rules| !rules.is_empty());
    let Some(rules) = rules else {
        return wrong(
            "the policy has no rules".to_owned(),
            "write at least one below rules",
        );
    };
    stages(&policy, "omitStages")?;
    for (at, rule) in rules.iter().enumerate() {
        checked(rule, &format!("rules[{at}]"))?;
    }
    Ok(())
}

fn checked(rule: &Value, path: &str) -> Result<(), (String, String)> {
    let is_level = |level: &str| LEVELS.contains(&level);
    if !rule["level"].as_str().is_some_and(is_level) {
        return Err((
            format!("{path}.level is {}", rule["level"]),
            format!("write one of {}", LEVELS.join(", ")),
        ));
    }
    let mut fields = rule.as_object().into_iter().flat_map(|fields| fields.keys());
    if let Some(name) = fields.find(|name| !RULE.contains(&name.as_str())) {
        return Err((
            format!("{path} has an unknown field {name:?}"),
            format!("remove it; the fields of a rule are {}", RULE.join(", ")),
        ));
    }
    let is_given = |name: &str| rule[name].as_array().is_some_and(|list| !list.is_empty());
    if is_given("nonResourceURLs") && (is_given("resources") || is_given("namespaces")) {
        return Err((
            format!("{path} is about nonResourceURLs and about resources"),
            "write two rules".to_owned(),
        ));
    }
    stages(rule, &format!("{path}.omitStages"))
}

fn stages(of: &Value, path: &str) -> Result<(), (String, String)> {
    let mut stages = of["omitStages"].as_array().into_iter().flatten();
    match stages.find(|stage| !stage.as_str().is_some_and(|stage| STAGES.contains(&stage))) {
        Some(stage) => Err((
            format!("{stage} in {path} is not a stage of a request"),
            format!("write one of {}", STAGES.join(", ")),
        )),
        None => Ok(()),
    }
}
