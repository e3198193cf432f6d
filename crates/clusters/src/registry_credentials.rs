//! What an authenticating registry mirror asks for: the username and password that the user keeps in a Secret beside the
//! Cluster.

use k8s_openapi::api::core::v1::Secret as KubeSecret;
use node_config::RegistryCredentials;
use resources::Secret;

use crate::access::Access;
use crate::error::Error;

/// Name of the Secret, as in EKS Anywhere.
const NAME: &str = "registry-credentials";

/// Reads them; the inner error says what is missing.
pub(crate) async fn registry_credentials(
    access: &Access,
) -> Result<Result<RegistryCredentials, String>, Error> {
    let namespace = &access.namespace;
    let command = format!(
        "kubectl -n {namespace} create secret generic {NAME} --from-literal=username=NAME --from-literal=password=PASSWORD"
    );
    let Some(secret) = access.get::<KubeSecret>(NAME).await? else {
        return Ok(Err(format!(
            "the registry mirror asks for credentials, and namespace {namespace} has no Secret {NAME}; make it: {command}"
        )));
    };
    let text = |key: &str| {
        let value = secret.data.as_ref().and_then(|data| data.get(key));
        let text = value.and_then(|value| String::from_utf8(value.0.clone()).ok());
        text.filter(|text| !text.is_empty()).ok_or_else(|| {
            format!(
                "Secret {NAME} of namespace {namespace} has no {key}; delete it and make it anew: {command}"
            )
        })
    };
    Ok(text("username").and_then(|username| {
        let password = Secret::new(text("password")?);
        Ok(RegistryCredentials { username, password })
    }))
}
