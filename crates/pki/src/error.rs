//! What can go wrong with keys and certificates.

use std::path::PathBuf;

/// One failed operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key file or the key directory cannot be read or written.
    #[error("cannot {verb} {}", path.display())]
    KeyFile {
        /// What was tried.
        verb: &'static str,
        /// File or directory.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A key file is readable for others than its owner.
    #[error("{} may be read by others (mode {mode:o}); run: chmod {want:o} {}", path.display(), path.display())]
    TooOpen {
        /// File or directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode it must have.
        want: u32,
    },
    /// A key file does not hold what it should.
    #[error("{} is damaged: {what}; restore it from the backup of the key directory", path.display())]
    Damaged {
        /// File.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The site CA was made for another site.
    #[error("the site CA in {} is that of site {found:?}, the configuration says {wanted:?}", path.display())]
    OtherSite {
        /// File.
        path: PathBuf,
        /// Site in the file.
        found: String,
        /// Site in the configuration.
        wanted: String,
    },
    /// Sealed data was changed, belongs elsewhere or was sealed with another key.
    #[error("sealed data for {context:?} cannot be opened: it was changed, moved or sealed with another key")]
    Unseal {
        /// The associated data.
        context: String,
    },
    /// Data cannot be sealed.
    #[error("data for {context:?} cannot be sealed")]
    Seal {
        /// The associated data.
        context: String,
    },
    /// A certificate request is malformed, unsigned or of a key type that is not taken.
    #[error("certificate request refused: {0}")]
    Request(String),
    /// A certificate cannot be made.
    #[error("cannot make the certificate of {subject}")]
    Issue {
        /// Whose.
        subject: String,
        /// Cause.
        #[source]
        source: rcgen::Error,
    },
    /// A key pair or certificate given as text cannot be read.
    #[error("cannot read {what}: {why}")]
    Pem {
        /// Which.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// A private key does not belong to its certificate or public key.
    #[error("the private key of {what} is not that of its certificate or public key")]
    OtherKey {
        /// Which.
        what: &'static str,
    },
    /// A verified certificate names no identity of this site.
    #[error("certificate names no identity of site {site:?}: {why}")]
    NoIdentity {
        /// This site.
        site: String,
        /// What was found instead.
        why: String,
    },
    /// TLS settings cannot be made.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}
