//! Arguments of kube-apiserver that a cluster's documents ask for.

use std::collections::BTreeMap;

use cluster_spec::ClusterBundle;

/// The user's arguments of kube-apiserver, the issuer of service accounts and those of the identity provider; rules keep them
/// apart.
pub(super) fn api_server_arguments(bundle: &ClusterBundle) -> BTreeMap<String, String> {
    let control = &bundle.cluster.spec.control_plane_configuration;
    let mut arguments = control.api_server_extra_args.clone();
    let issuer = bundle.service_account_issuer();
    arguments.extend(issuer.map(|issuer| ("service-account-issuer".to_owned(), issuer.to_owned())));
    let Some(provider) = bundle.oidc().map(|config| &config.spec) else {
        return arguments;
    };
    let claim = provider.required_claims.first();
    let named = [
        ("client-id", Some(provider.client_id.clone())),
        ("issuer-url", Some(provider.issuer_url.clone())),
        ("groups-claim", provider.groups_claim.clone()),
        ("groups-prefix", provider.groups_prefix.clone()),
        (
            "required-claim",
            claim.map(|claim| format!("{}={}", claim.claim, claim.value)),
        ),
        ("username-claim", provider.username_claim.clone()),
        ("username-prefix", provider.username_prefix.clone()),
    ];
    for (name, value) in named {
        let value = value.filter(|value| !value.is_empty());
        arguments.extend(value.map(|value| (format!("oidc-{name}"), value)));
    }
    arguments
}
