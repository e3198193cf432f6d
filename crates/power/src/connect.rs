//! From a Machine's connection and its Secret to a BMC client.

use std::time::Duration;

use bmc::{Connection, Login, Redfish, Trust};
use k8s_openapi::api::core::v1::Secret as SecretObject;
use kube::{Api, Client};
use resources::Secret;
use resources::bmc as api;

use crate::Error;

const HTTPS: u16 = 443;
const REQUEST_LIMIT: Duration = Duration::from_secs(20);

/// A client, or the sentence for the status that says what the user has to fix.
pub(crate) async fn open(
    client: &Client,
    connection: &api::Connection,
) -> Result<Result<Redfish, String>, Error> {
    let Some(reference) = &connection.auth_secret_ref else {
        return Ok(Err("spec.connection.authSecretRef is missing".to_owned()));
    };
    let secrets: Api<SecretObject> = Api::namespaced(client.clone(), &reference.namespace);
    let place = format!("{}/{}", reference.namespace, reference.name);
    let found = secrets.get_opt(&reference.name).await;
    let found = found.map_err(|source| Error::Read {
        kind: "Secret",
        name: place.clone(),
        source,
    })?;
    let Some(secret) = found else {
        return Ok(Err(format!("Secret {place} does not exist")));
    };
    Ok(connection_of(connection, &secret, &place)
        .and_then(|connection| Redfish::new(connection).map_err(|e| causes::line(&e))))
}

fn connection_of(
    connection: &api::Connection,
    secret: &SecretObject,
    place: &str,
) -> Result<Connection, String> {
    let value = |key: &str| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(key));
        let text = bytes.and_then(|bytes| String::from_utf8(bytes.0.clone()).ok());
        text.filter(|text| !text.is_empty())
            .ok_or_else(|| format!("Secret {place} has no text in key {key}"))
    };
    let redfish = connection
        .provider_options
        .as_ref()
        .and_then(|options| options.redfish.clone())
        .unwrap_or_default();
    let trust = match redfish.certificate_digest {
        Some(digest) => Trust::Fingerprint(digest.octets()),
        None if connection.insecure_tls => Trust::Insecure,
        None => {
            return Err(
                "the BMC's certificate is not pinned: set providerOptions.redfish.certificateDigest, \
                        or insecureTLS to accept any"
                    .to_owned(),
            );
        }
    };
    Ok(Connection {
        host: connection.host.clone(),
        // spec.connection.port is IPMI's.
        port: redfish.port.unwrap_or(HTTPS),
        username: value("username")?,
        password: Secret::new(value("password")?),
        login: if redfish.use_basic_auth {
            Login::Basic
        } else {
            Login::Session
        },
        trust,
        timeout: REQUEST_LIMIT,
        system: redfish.system_name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;
    use std::collections::BTreeMap;

    fn secret(pairs: &[(&str, &str)]) -> SecretObject {
        let data: BTreeMap<String, ByteString> = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())))
            .collect();
        SecretObject {
            data: Some(data),
            ..SecretObject::default()
        }
    }

    #[test]
    fn connections() {
        let full = secret(&[("username", "ops"), ("password", "fake-password")]);
        let open = api::Connection {
            host: "h".to_owned(),
            insecure_tls: true,
            ..api::Connection::default()
        };
        let made = connection_of(&open, &full, "ns/s").unwrap();
        assert_eq!(
            (made.port, made.login, made.trust),
            (443, Login::Session, Trust::Insecure)
        );
        let strict = api::Connection {
            insecure_tls: false,
            ..open.clone()
        };
        assert!(
            connection_of(&strict, &full, "ns/s")
                .unwrap_err()
                .contains("certificateDigest")
        );
        let pinned: api::Connection = serde_json::from_value(serde_json::json!({
            "host": "h", "providerOptions": {"redfish": {"port": 8443, "useBasicAuth": true, "certificateDigest":
                format!("sha256:{}", "11".repeat(32))}}
        }))
        .unwrap();
        let made = connection_of(&pinned, &full, "ns/s").unwrap();
        assert_eq!(
            (made.port, made.login, made.trust),
            (8443, Login::Basic, Trust::Fingerprint([0x11; 32]))
        );
        for half in [
            secret(&[("username", "ops")]),
            secret(&[("username", ""), ("password", "fake-password")]),
        ] {
            let error = connection_of(&open, &half, "ns/s").unwrap_err();
            assert!(error.contains("ns/s") && !error.contains("fake-password"));
        }
    }
}
