//! What can go wrong when texts are made.

/// A text could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value could not be printed as YAML.
    #[error("cannot print {what} as YAML")]
    Yaml {
        /// Which text.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_saphyr::SerializeError,
    },
    /// A value could not be printed as JSON.
    #[error("cannot print {what} as JSON")]
    Json {
        /// Which text.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The workflow of a machine cannot be made for this operating system.
    #[error(
        "machines with osFamily {os_family} can't be installed; write debian, ubuntu or redhat, with an image of that family"
    )]
    OsFamily {
        /// As cluster YAML spells it.
        os_family: String,
    },
    /// A Hardware lacks what an installed system needs.
    #[error("Hardware {hardware} has no {what}; complete it and try again")]
    Hardware {
        /// Name.
        hardware: String,
        /// What is missing.
        what: &'static str,
    },
    /// A machine whose data are handed over by its driver can't download files.
    #[error(
        "{path} is too big for user data: a machine of a plugin driver can't start with saved data of etcd; make another cluster"
    )]
    Download {
        /// The file.
        path: String,
    },
    /// The Release names no image for a component.
    #[error("the Release names no image of {component}; add it to the Release's components")]
    NoImage {
        /// Component.
        component: &'static str,
    },
}

/// A value as YAML.
pub(crate) fn yaml<T: serde::Serialize>(what: &'static str, value: &T) -> Result<String, Error> {
    serde_saphyr::to_string(value).map_err(|source| Error::Yaml { what, source })
}
