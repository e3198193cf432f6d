//! Keys and certificates of a site.
//!
//! Owns: the key directory ([`KeyDir`]: 0700, files 0600, made at the first start), sealing of secrets ([`Sealer`],
//! AES-256-GCM), files that only their owner reads ([`write_private`]), the site CA ([`SiteCa`]) with the certificates that it gives to the server, to agents for one
//! attempt, to installed systems for their first boot and to administrators, the [`Identity`] that such a
//! certificate proves, TLS settings of a listener ([`server_config`]) and the certificate that it shows
//! ([`ServingCertificate`]), what the certificate of another server is ([`ServedCertificateProbe`]), and the CAs of a cluster
//! ([`ClusterPki`]).
//!
//! Refuses: to take a name out of a certificate request (only its public key counts, after its signature is
//! verified), to make an [`Identity`] from anything but a certificate that TLS verified, and to print a key.
//!
//! # Contract between the TLS listener and the services behind it
//!
//! The accept loop verifies the peer with [`server_config`], makes `Option<Identity>` with [`peer_identity`] and
//! puts the [`Identity`], when there is one, into the extensions of every request of the connection
//! (`request.extensions_mut().insert(identity)`). A service reads `Identity` from the extensions and treats its
//! absence as an unauthenticated peer. No header, address or message field is ever an identity.
//!
//! Times are given by the caller as a [`Validity`]; nothing here reads a clock except TLS itself.

mod cluster;
mod credential;
mod error;
mod identity;
mod key_dir;
mod kubeconfig;
mod private_file;
mod sealer;
mod served;
mod serving;
mod site_ca;
mod tls;
mod validity;

pub use cluster::{ClusterPki, ServiceAccountKeys, admin_kubeconfig, etcd_client};
pub use credential::Credential;
pub use error::Error;
pub use identity::{Identity, peer_identity};
pub use key_dir::KeyDir;
pub use private_file::write_private;
pub use sealer::Sealer;
pub use served::{ServedCertificate, ServedCertificateProbe};
pub use serving::ServingCertificate;
pub use site_ca::{IssuedCertificate, SiteCa};
pub use tls::{ClientCertificates, server_config};
pub use validity::Validity;
