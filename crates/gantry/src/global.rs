//! The flags of every verb that talks to a server.

use std::path::PathBuf;

use clap::Args;

/// Flags of every verb that talks to a server.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Kubeconfig of the appliance; default: admin.kubeconfig of the default data directory.
    #[arg(long, global = true, value_name = "FILE", env = "GANTRY_KUBECONFIG")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// How much is logged on standard error, 0 to 9: nothing, from 1 what is done, from 4 each request.
    #[arg(short = 'v', long, global = true, value_name = "LEVEL", default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=9))]
    pub(crate) verbosity: u8,
}
