//! Who asks: bearer token, client certificate, or the process itself.
//!
//! A certificate counts only when the TLS layer has verified it against our client CA. Its common name is the user,
//! its organisations the groups, as in Kubernetes. Certificates that name a machine (a URI in the alternative names)
//! belong to agents and are never API identities.

use std::collections::HashMap;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;

use crate::status::ApiError;

/// Name and groups of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User name.
    pub name: String,
    /// Groups, without `system:authenticated`, which every known caller has.
    pub groups: Vec<String>,
}

/// Members may do everything.
pub const MASTERS: &str = "system:masters";

impl Identity {
    /// An administrator.
    pub fn admin(name: &str) -> Identity {
        Identity {
            name: name.to_owned(),
            groups: vec![MASTERS.to_owned()],
        }
    }

    /// A caller who showed nothing.
    pub fn anonymous() -> Identity {
        Identity {
            name: "system:anonymous".to_owned(),
            groups: vec!["system:unauthenticated".to_owned()],
        }
    }

    /// The identity in a verified client certificate (DER); none when it is not one of an API client.
    pub fn from_certificate(der: &[u8]) -> Option<Identity> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        let alternative = certificate.subject_alternative_name().ok()?;
        let uri = |name: &GeneralName<'_>| matches!(name, GeneralName::URI(_));
        if alternative.is_some_and(|names| names.value.general_names.iter().any(uri)) {
            return None;
        }
        let subject = certificate.subject();
        let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
        let groups = subject
            .iter_organization()
            .filter_map(|o| o.as_str().ok().map(str::to_owned));
        Some(Identity {
            name,
            groups: groups.collect(),
        })
    }

    pub(crate) fn is_anonymous(&self) -> bool {
        self.name == "system:anonymous"
    }

    pub(crate) fn all_groups(&self) -> Vec<String> {
        let mut groups = self.groups.clone();
        if !self.is_anonymous() {
            groups.push("system:authenticated".to_owned());
        }
        groups
    }
}

/// Known bearer tokens, kept as digests: a lookup does not tell by its time how much of a token was right.
#[derive(Default)]
pub(crate) struct Tokens(HashMap<[u8; 32], Identity>);

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({})", self.0.len())
    }
}

impl Tokens {
    pub(crate) fn new(tokens: Vec<(String, Identity)>) -> Tokens {
        let usable = tokens.into_iter().filter(|(token, _)| !token.is_empty());
        Tokens(
            usable
                .map(|(token, identity)| (Sha256::digest(token.as_bytes()).into(), identity))
                .collect(),
        )
    }

    /// The caller of a request: what the connection or the process already knows, else the token.
    pub(crate) fn identify(
        &self,
        known: Option<&Identity>,
        headers: &HeaderMap,
    ) -> Result<Identity, ApiError> {
        let Some(header) = headers.get(AUTHORIZATION) else {
            return Ok(known.cloned().unwrap_or_else(Identity::anonymous));
        };
        let text = header.to_str().map_err(|_| ApiError::unauthorized())?;
        let token = text.strip_prefix("Bearer ").ok_or_else(ApiError::unauthorized)?;
        let digest: [u8; 32] = Sha256::digest(token.trim().as_bytes()).into();
        self.0.get(&digest).cloned().ok_or_else(ApiError::unauthorized)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn certificate(uri: bool) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "jane");
        params.distinguished_name.push(DnType::OrganizationName, "ops");
        if uri {
            params
                .subject_alt_names
                .push(SanType::URI("spiffe://site/machine/x".try_into().unwrap()));
        }
        params
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .der()
            .to_vec()
    }

    #[test]
    fn certificates_of_machines_are_no_identities() {
        let jane = Identity {
            name: "jane".into(),
            groups: vec!["ops".into()],
        };
        assert_eq!(Identity::from_certificate(&certificate(false)), Some(jane));
        assert_eq!(Identity::from_certificate(&certificate(true)), None);
        assert_eq!(Identity::from_certificate(b"junk"), None);
    }

    #[test]
    fn a_wrong_token_is_refused_and_none_is_anonymous() {
        let tokens = Tokens::new(vec![
            ("fake-token".into(), Identity::admin("admin")),
            (String::new(), Identity::admin("x")),
        ]);
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, http::HeaderValue::from_static(value));
            tokens
                .identify(None, &headers)
                .map(|i| i.name)
                .map_err(|e| e.code.as_u16())
        };
        assert_eq!(with("Bearer fake-token"), Ok("admin".into()));
        assert_eq!(with("Bearer wrong"), Err(401));
        assert_eq!(with("Bearer "), Err(401));
        assert_eq!(with("Basic eA=="), Err(401));
        assert!(tokens.identify(None, &HeaderMap::new()).unwrap().is_anonymous());
    }
}
