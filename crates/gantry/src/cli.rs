//! The tree of verbs and their flags.

use clap::{Parser, Subcommand};

use crate::failure::EXIT_CODES;
use crate::global::Global;
use crate::verbs;

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "gantry",
    version,
    about = "Turns a rack of powered-off servers and a CSV file into Kubernetes clusters",
    after_help = EXIT_CODES,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the appliance: Kubernetes API, boot services, controllers.
    Serve(verbs::serve::ServeArgs),
    /// Create a cluster or import hardware.
    #[command(subcommand)]
    Create(Create),
    /// Import hardware from a CSV file.
    #[command(subcommand)]
    Apply(Apply),
    /// Print files to begin with, or what a file would become, without a server.
    #[command(subcommand)]
    Generate(Generate),
    /// Bring a cluster to another version, image or configuration.
    #[command(subcommand)]
    Upgrade(Upgrade),
    /// Save the data of a cluster's etcd in the appliance.
    #[command(subcommand)]
    Snapshot(Snapshot),
    /// About the etcd of clusters.
    #[command(subcommand)]
    Etcd(Etcd),
    /// Copy everything that the appliance knows into a file, while it runs.
    #[command(subcommand)]
    Backup(Backup),
    /// Have a cluster start with a snapshot of its etcd, or go back to a backup of the appliance.
    #[command(subcommand)]
    Restore(Restore),
    /// Renew what would end.
    #[command(subcommand)]
    Renew(Renew),
    /// Delete a cluster: its machines are powered off and given back.
    #[command(subcommand)]
    Delete(Delete),
    /// State the power of a server that is being given back, where Gantry can't see or switch it.
    #[command(subcommand)]
    Release(Release),
    /// Keep a server for inspection instead of using it.
    #[command(subcommand)]
    Quarantine(Quarantine),
    /// Say that the records about a server are right, after a restore of the appliance.
    #[command(subcommand)]
    Verify(Verify),
    /// Take what runs already under Gantry's management.
    #[command(subcommand)]
    Adopt(Adopt),
    /// Take a cluster over whose appliance is lost and has no backup.
    #[command(subcommand)]
    Rebuild(Rebuild),
    /// Boot a server that is in quarantine into the installer, to look at it; no disk is touched.
    #[command(subcommand)]
    Rescue(Rescue),
    /// Switch the power of a server by its BMC, or ask for it.
    #[command(subcommand)]
    Power(verbs::power::PowerCommand),
    /// Ask the BMC of a server about its hardware, or have it show the server or choose its next boot.
    #[command(subcommand)]
    Server(verbs::server_bmc::ServerCommand),
    /// Approve a plan that waits for a person.
    Approve(verbs::approve::ApproveArgs),
    /// Try once more what has failed too often.
    #[command(subcommand)]
    Retry(Retry),
    /// Put another machine in the place of one.
    #[command(subcommand)]
    Replace(Replace),
    /// List objects: clusters, machines, servers, bmcs, workflows, hardware, plans, images, ...
    Get(verbs::get::GetArgs),
    /// Why is it stuck? The chain from the cluster down to the last packet, for a name, MAC, IP or serial number.
    Explain(verbs::explain::ExplainArgs),
    /// Pack what is known of one machine into a file, without secrets, before it is given back or for whoever helps.
    Evidence(verbs::evidence::EvidenceArgs),
    /// Build the installer, node images and their parts, list or export them.
    #[command(subcommand)]
    Image(verbs::image::ImageCommand),
    /// The virtual rack: QEMU machines with blank disks and virtual BMCs.
    #[command(subcommand)]
    Lab(verbs::lab::LabCommand),
    /// Plugin drivers: programs that make machines at a provider.
    #[command(subcommand)]
    Driver(verbs::driver::DriverCommand),
    /// About the configuration file of `gantry serve`.
    #[command(subcommand)]
    Config(Config),
    /// Print a completion script for a shell.
    Completion(verbs::completion::CompletionArgs),
    /// Write man pages into a folder.
    #[command(hide = true)]
    Man(verbs::man::ManArgs),
    /// Print the version; with a server also the server's.
    Version(verbs::version::VersionArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Create {
    /// Create a cluster from EKS Anywhere YAML; the same command again continues.
    Cluster(Box<verbs::create_cluster::CreateClusterArgs>),
    /// Import hardware from a CSV file.
    Hardware(verbs::apply_hardware::ApplyHardwareArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Apply {
    /// Import hardware from a CSV file; nothing is applied if one row is bad.
    Hardware(verbs::apply_hardware::ApplyHardwareArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Generate {
    /// Print the file of a cluster, with blanks for what only you know.
    Clusterconfig(verbs::generate_clusterconfig::GenerateClusterconfigArgs),
    /// Print the objects of a hardware CSV as YAML.
    Hardware(verbs::generate_hardware::GenerateHardwareArgs),
    /// Print the workflow that installs the machines of a cluster's file, to be edited and put into it.
    #[command(visible_alias = "ttc")]
    Tinkerbelltemplateconfig(verbs::generate_template::GenerateTemplateArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Upgrade {
    /// Upgrade a cluster to what its file says; the same command again continues.
    Cluster(verbs::upgrade_cluster::UpgradeClusterArgs),
    /// Say what a file would change.
    #[command(subcommand)]
    Plan(UpgradePlan),
    /// Exchange no machine of a cluster that works. What is missing or broken is made and replaced.
    Pause(verbs::rollout::PauseArgs),
    /// Go on with the exchange of machines that was paused.
    Resume(verbs::rollout::RolloutArgs),
    /// Run the upgrade gates that have failed once more.
    Retry(verbs::rollout::RolloutArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum UpgradePlan {
    /// Say what changes of a cluster, and which changes replace machines.
    Cluster(verbs::upgrade_cluster::PlanClusterArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Snapshot {
    /// Take a snapshot of the etcd of a cluster, or list those that are kept.
    Cluster(verbs::snapshot::SnapshotArgs),
    /// Write the snapshot that is in a copy outside of the appliance to a file, with the key that sealed it.
    Open(verbs::open_copy::OpenArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Etcd {
    /// Rehearse a restore of a cluster's etcd from its newest copy, without touching the cluster.
    Drill(verbs::etcd_drill::DrillArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Restore {
    /// Install the control plane of a cluster anew, with a snapshot of its etcd. Workers stay.
    Cluster(verbs::snapshot::RestoreArgs),
    /// Go back to a backup of the appliance. Nothing is powered or installed by it.
    Appliance(verbs::backup::RestoreArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Backup {
    /// Copy databases and sealed files of the appliance into one file.
    Appliance(verbs::backup::BackupArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Adopt {
    /// Make a node that no machine stands for a machine of its cluster. Nothing is powered or installed.
    Machine(verbs::adopt_machine::AdoptArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Rebuild {
    /// Take over a cluster that runs, from its file, the hardware's file and the keys of its control plane. Nothing is powered or
    /// installed; the same command again continues.
    Cluster(verbs::rebuild_cluster::RebuildArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verify {
    /// Say that the records about servers are right, after a restore of the appliance.
    Server(verbs::server::VerifyArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Renew {
    /// Renew the certificates of the control plane of a cluster, one member after the other, and its kubeconfig.
    Certificates(verbs::renew::RenewArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Delete {
    /// Delete a cluster.
    Cluster(verbs::delete_cluster::DeleteClusterArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Release {
    /// State that a server is powered off, or give up one that can't be reached.
    Server(verbs::release_server::ReleaseServerArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Quarantine {
    /// No machine takes the server, and the one that has it keeps it, powered off, when it gives it up.
    Server(verbs::server::QuarantineArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Rescue {
    /// Boot it into the installer once, have it report what it is, and keep it up for a while.
    Server(verbs::rescue_server::RescueArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Retry {
    /// Let another machine take the place of one that has failed too often.
    Machine(verbs::machine::MachineArgs),
    /// Choose a server as if its installations had not failed, and try a wipe again that has failed too often.
    Server(verbs::server::ServerArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Replace {
    /// Take a machine out of its cluster and put another one in its place.
    Machine(verbs::machine::MachineArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Print a commented example.
    Example,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_tree_is_consistent() {
        Cli::command().debug_assert();
    }
}
