//! What is wrong with a kubeconfig: the place and the kind of the error, and nothing that stands in the file, because that may
//! be a token or a key.

use kube::config::{KubeconfigError, LoadDataError};

/// The reason, without any content.
pub(crate) fn reason(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::CurrentContextNotSet => "it has no current-context".to_owned(),
        KubeconfigError::LoadContext(_) => {
            "it has no context of the name that current-context says".to_owned()
        }
        KubeconfigError::LoadClusterOfContext(_) => {
            "it has no cluster of the name that its current context says".to_owned()
        }
        KubeconfigError::ReadConfig(source, _) => source.to_string(),
        KubeconfigError::Parse(source) => match source.location() {
            Some(place) => format!(
                "line {}, column {}: it is no kubeconfig from here on (malformed YAML, or a value of another type)",
                place.line(),
                place.column()
            ),
            None => "it is no kubeconfig".to_owned(),
        },
        KubeconfigError::MissingClusterUrl => "its cluster has no server".to_owned(),
        KubeconfigError::ParseClusterUrl(_) => "the server of its cluster is no URL".to_owned(),
        KubeconfigError::LoadCertificateAuthority(source) => data("certificate-authority", source),
        KubeconfigError::LoadClientCertificate(source) => data("client-certificate", source),
        KubeconfigError::LoadClientKey(source) => data("client-key", source),
        KubeconfigError::ParseCertificates(_) => "its certificate-authority is no PEM".to_owned(),
        _ => "it cannot be used".to_owned(),
    }
}

fn data(field: &str, error: &LoadDataError) -> String {
    match error {
        LoadDataError::DecodeBase64(_) => format!("{field}-data is no base64"),
        LoadDataError::ReadFile(source, path) => format!("{field}: {}: {source}", path.display()),
        LoadDataError::NoBase64DataOrFile => format!("it has neither {field} nor {field}-data"),
    }
}
