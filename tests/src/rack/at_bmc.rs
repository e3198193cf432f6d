//! What an operator does at the BMC of a machine, beside the appliance and without its knowledge.

use anyhow::Context as _;
use lab::MachinePlan;

use super::Rack;
use crate::command::done;

impl Rack {
    /// Resets a machine hard.
    pub(crate) fn reset(&self, machine: &str) -> anyhow::Result<()> {
        self.at_bmc(machine, "ForceRestart")
    }

    /// Does what an operator does at a machine's BMC, by Redfish `ResetType`. The appliance has no part in it.
    pub(crate) fn at_bmc(&self, machine: &str, reset_type: &str) -> anyhow::Result<()> {
        let of = |plan: &&MachinePlan| plan.name == machine;
        let plan = self.plan.machines.iter().find(of).context("no such machine")?;
        if self.plan.ipmi_only {
            return self.by_ipmi(plan, reset_type);
        }
        let user = format!("{}:{}", plan.bmc_user, plan.bmc_password.reveal());
        let url = format!(
            "https://{}/redfish/v1/Systems/1/Actions/ComputerSystem.Reset",
            plan.bmc_ip
        );
        let mut command = lab::site_command(&self.plan, "curl")?;
        command.args([
            "--silent",
            "--show-error",
            "--fail",
            "--insecure",
            "--max-time",
            "30",
        ]);
        let body = serde_json::json!({"ResetType": reset_type}).to_string();
        command.args(["--user", &user, "--json", &body, &url]);
        done(&mut command).map(drop)
    }

    /// The same by IPMI.
    fn by_ipmi(&self, plan: &MachinePlan, reset_type: &str) -> anyhow::Result<()> {
        let word = match reset_type {
            "On" => "on",
            "ForceOff" => "off",
            "GracefulShutdown" => "soft",
            "ForceRestart" => "reset",
            "PowerCycle" => "cycle",
            "Nmi" => "diag",
            other => anyhow::bail!("IPMI has no {other}"),
        };
        let mut command = lab::site_command(&self.plan, "ipmitool")?;
        command.args(["-I", "lanplus", "-H", &plan.bmc_ip.to_string()]);
        command.args(["-U", &plan.bmc_user, "-P", plan.bmc_password.reveal()]);
        command.args(["chassis", "power", word]);
        done(&mut command).map(drop)
    }
}
