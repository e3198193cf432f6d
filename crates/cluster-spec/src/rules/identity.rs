//! `identityProviderRefs` and the OIDCConfig that they name.

use kube::ResourceExt as _;
use url::Url;

use crate::bundle::{AWS_IAM, ClusterBundle, OIDC};
use crate::violation::{Report, Violation};

pub(super) fn check(bundle: &ClusterBundle, report: &mut Report) {
    let references = &bundle.cluster.spec.identity_provider_refs;
    for (at, reference) in references.iter().enumerate() {
        let path = format!("spec.identityProviderRefs[{at}]");
        if reference.kind == AWS_IAM {
            // A remark says that it has no effect.
            continue;
        }
        if reference.kind != OIDC {
            report.add(
                format!("{path}.kind"),
                format!("{:?} is not an identity provider", reference.kind),
                "write OIDCConfig",
            );
        } else if !bundle.oidc_configs.contains_key(&reference.name) {
            report.add(
                format!("{path}.name"),
                format!("the file has no OIDCConfig named {:?}", reference.name),
                "add one, or name one of this file",
            );
        }
    }
    let providers = references.iter().filter(|reference| reference.kind == OIDC);
    if providers.count() > 1 {
        report.add(
            "spec.identityProviderRefs",
            "several OIDCConfigs stand here, one is allowed",
            "keep one",
        );
    }
    let flags = &bundle
        .cluster
        .spec
        .control_plane_configuration
        .api_server_extra_args;
    if bundle.oidc().is_some() {
        for name in flags.keys().filter(|name| name.starts_with("oidc-")) {
            report.add(
                format!("spec.controlPlaneConfiguration.apiServerExtraArgs.{name}"),
                "the OIDCConfig decides this flag",
                "remove it, or the reference in identityProviderRefs",
            );
        }
    }
}

/// The URL of an issuer of tokens (OpenID Connect Discovery 1.0 §3).
pub(super) fn issuer(path: &str, issuer: &str, report: &mut Report) {
    let url = Url::parse(issuer);
    if !url.is_ok_and(|url| url.scheme() == "https" && url.has_host()) {
        report.add(
            path,
            format!("{issuer:?} is not the URL of an issuer"),
            "write one that begins with https://",
        );
    }
}

/// The documents by themselves.
pub(super) fn providers(bundle: &ClusterBundle) -> Vec<Violation> {
    let mut found = Vec::new();
    for config in bundle.oidc_configs.values() {
        let mut report = Report::new(OIDC, &config.name_any());
        let spec = &config.spec;
        if spec.client_id.is_empty() {
            report.add(
                "spec.clientId",
                "clientId is missing",
                "write the audience of the tokens",
            );
        }
        issuer("spec.issuerUrl", &spec.issuer_url, &mut report);
        if spec.required_claims.len() > 1 {
            report.add(
                "spec.requiredClaims",
                format!("{} claims stand here, one is allowed", spec.required_claims.len()),
                "keep one",
            );
        }
        for (at, required) in spec.required_claims.iter().enumerate() {
            if required.claim.is_empty() || required.claim.contains('=') || required.value.is_empty() {
                report.add(
                    format!("spec.requiredClaims[{at}]"),
                    "a claim and a value are wanted",
                    "write both, the claim without '='",
                );
            }
        }
        found.extend(report.found);
    }
    found
}
