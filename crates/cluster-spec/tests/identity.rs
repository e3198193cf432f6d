//! Identity providers in a cluster file: what is accepted, what is said where.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod releases;

use cluster_spec::{ClusterBundle, Problems, parse};

use crate::releases::releases;

const PROVIDER: &str = "
---
apiVersion: anywhere.eks.amazonaws.com/v1alpha1
kind: OIDCConfig
metadata:
  name: login
spec:
  clientId: demo
  issuerUrl: https://login.example/realms/demo
  groupsClaim: groups
  groupsPrefix: 'oidc:'
  usernameClaim: email
  requiredClaims:
  - claim: team
    value: rack
";
const REFERENCE: &str = "  identityProviderRefs:\n  - kind: OIDCConfig\n    name: login\n";

fn read(from: &str, to: &str) -> Result<ClusterBundle, Problems> {
    let good = include_str!("good.yaml");
    let text = good.replacen(
        "  kubernetesVersion",
        &format!("{REFERENCE}  kubernetesVersion"),
        1,
    ) + PROVIDER;
    assert!(text.contains(from), "{from}");
    parse(&text.replacen(from, to, 1), "cluster.yaml", &releases())
}

#[test]
fn a_provider_is_read_with_its_cluster() {
    let bundle = read("", "").unwrap_or_else(|problems| panic!("{problems}"));
    let provider = bundle.oidc().unwrap();
    assert_eq!(provider.spec.client_id, "demo");
    assert_eq!(provider.metadata.namespace.as_deref(), Some("eksa-system"));
    let documents = bundle.documents();
    let again = ClusterBundle::from_documents("demo", "eksa-system", &documents);
    assert_eq!(again.oidc().unwrap().spec, provider.spec);
}

#[test]
fn one_fault_is_one_problem_at_its_field() {
    // What stands there, what takes its place, the end of the field's path, and part of the message.
    let table = [
        ("clientId: demo", "clientId: ''", "spec.clientId", "is missing"),
        (
            "clientId: demo",
            "clientID: demo",
            "spec.clientID",
            "unknown field",
        ),
        (
            "https://login",
            "http://login",
            "spec.issuerUrl",
            "not the URL of an issuer",
        ),
        (
            "https://login.example/realms/demo",
            "''",
            "spec.issuerUrl",
            "not the URL of an issuer",
        ),
        (
            "    value: rack\n",
            "    value: rack\n  - claim: a\n    value: b\n",
            "spec.requiredClaims",
            "2 claims",
        ),
        (
            "claim: team",
            "claim: ''",
            "spec.requiredClaims[0]",
            "a claim and a value",
        ),
        (
            "    name: login\n",
            "    name: other\n",
            "identityProviderRefs[0].name",
            "no OIDCConfig named",
        ),
        (
            "kind: OIDCConfig\n    name",
            "kind: Ldap\n    name",
            "identityProviderRefs[0].kind",
            "not an identity provider",
        ),
        (
            REFERENCE,
            "  identityProviderRefs:\n  - {kind: OIDCConfig, name: login}\n  - {kind: OIDCConfig, name: login}\n",
            "spec.identityProviderRefs",
            "one is allowed",
        ),
        (
            "    count: 1\n    endpoint",
            "    apiServerExtraArgs: {oidc-client-id: x}\n    count: 1\n    endpoint",
            "apiServerExtraArgs.oidc-client-id",
            "the OIDCConfig decides",
        ),
    ];
    for (from, to, path, message) in table {
        let problems = read(from, to).unwrap_err();
        let mut found = problems.problems.iter();
        let problem = found.find(|problem| problem.message.contains(message));
        let problem = problem.unwrap_or_else(|| panic!("{from:?} -> {to:?}: {problems}"));
        assert!(problem.place.ends_with(path), "{}: wanted {path}", problem.place);
        assert!(problem.line > 1 && !problem.next_step.is_empty(), "{problem:?}");
    }
}
