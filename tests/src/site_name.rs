//! The name that the appliance has in its certificates.

/// Name of the site in the appliance's certificate.
pub(crate) const SITE: &str = "gantry";
