//! kubectl against a cluster of a rack, as somebody beside the appliance uses it.

use std::path::PathBuf;
use std::process::Command;

use lab::RackPlan;

use crate::command::done;

/// Where kubectl and the cluster's kubeconfig are, and from where it is asked.
#[derive(Debug, Clone)]
pub(crate) struct ClusterClient {
    pub(crate) plan: RackPlan,
    pub(crate) kubectl: PathBuf,
    pub(crate) kubeconfig: PathBuf,
}

impl ClusterClient {
    /// What kubectl says.
    pub(crate) fn asked(&self, arguments: &[&str]) -> anyhow::Result<String> {
        done(&mut self.command(arguments)?)
    }

    fn command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = lab::site_command(&self.plan, &self.kubectl.display().to_string())?;
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments);
        Ok(command)
    }
}
