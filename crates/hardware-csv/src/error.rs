//! What can go wrong besides faults in the file.

/// An operation on rows failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An object could not be printed as YAML.
    #[error("cannot print {object} as YAML")]
    Yaml {
        /// Kind and name.
        object: String,
        /// Why.
        #[source]
        source: serde_saphyr::SerializeError,
    },
    /// An object could not be turned into JSON.
    #[error("cannot turn {object} into JSON")]
    Json {
        /// Kind and name.
        object: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The rows could not be written as CSV.
    #[error("cannot write the row of {hostname} as CSV")]
    Csv {
        /// Which row; `the header` for the first.
        hostname: String,
        /// Why.
        #[source]
        source: csv::Error,
    },
}
