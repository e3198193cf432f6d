//! A driver that the configuration names, and its process.

use driver::supervisor::Supervisor;
use resources::gantry::ProviderDriverSpec;

/// A driver of which machines can be wanted.
#[derive(Debug, Clone)]
pub struct PluginDriver {
    /// Its name: `spec.provider` of its machines.
    pub name: String,
    /// As the configuration has it.
    pub spec: ProviderDriverSpec,
    /// Who keeps its process running.
    pub supervisor: Supervisor,
}
