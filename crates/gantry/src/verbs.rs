//! One module for each verb.

pub(crate) mod adopt_machine;
pub(crate) mod apply_hardware;
pub(crate) mod approve;
pub(crate) mod backup;
mod cluster_files;
pub(crate) mod completion;
pub(crate) mod create_cluster;
pub(crate) mod delete_cluster;
pub(crate) mod driver;
mod eksa_flags;
pub(crate) mod etcd_drill;
pub(crate) mod evidence;
pub(crate) mod explain;
pub(crate) mod generate_clusterconfig;
pub(crate) mod generate_hardware;
pub(crate) mod generate_template;
pub(crate) mod get;
pub(crate) mod image;
pub(crate) mod lab;
pub(crate) mod machine;
pub(crate) mod man;
pub(crate) mod open_copy;
pub(crate) mod power;
pub(crate) mod rebuild_cluster;
pub(crate) mod release_server;
pub(crate) mod renew;
pub(crate) mod rescue_server;
pub(crate) mod rollout;
pub(crate) mod serve;
pub(crate) mod server;
pub(crate) mod server_bmc;
pub(crate) mod snapshot;
pub(crate) mod upgrade_cluster;
pub(crate) mod version;
mod watching;

use clap::CommandFactory;

use crate::cli::{
    Adopt, Apply, Backup, Cli, Command, Config, Create, Delete, Etcd, Generate, Quarantine, Rebuild, Release,
    Renew, Replace, Rescue, Restore, Retry, Snapshot, Upgrade, UpgradePlan, Verify,
};
use crate::failure::Outcome;
use crate::global::Global;
use crate::output;

/// Runs the verb.
#[expect(clippy::cognitive_complexity, reason = "one arm for each verb")]
pub(crate) async fn run(cli: Cli) -> Outcome {
    let global = &cli.global;
    match cli.command {
        Command::Serve(args) => serve::run(args).await,
        Command::Create(Create::Cluster(args)) => create_cluster::run(global, &args).await,
        Command::Create(Create::Hardware(args)) | Command::Apply(Apply::Hardware(args)) => {
            apply_hardware::run(global, &args).await
        }
        Command::Generate(Generate::Clusterconfig(args)) => generate_clusterconfig::run(&args),
        Command::Generate(Generate::Hardware(args)) => generate_hardware::run(&args),
        Command::Generate(Generate::Tinkerbelltemplateconfig(args)) => generate_template::run(&args),
        Command::Upgrade(command) => upgrade(global, command).await,
        Command::Snapshot(command) => snapshots(global, &command).await,
        Command::Etcd(Etcd::Drill(args)) => etcd_drill::run(global, &args).await,
        Command::Restore(command) => restore(global, &command).await,
        Command::Backup(Backup::Appliance(args)) => backup::make(&args).await,
        Command::Renew(Renew::Certificates(args)) => renew::run(global, &args).await,
        Command::Delete(Delete::Cluster(args)) => delete_cluster::run(global, &args).await,
        Command::Release(Release::Server(args)) => release_server::run(global, &args).await,
        Command::Power(command) => power::run(global, command).await,
        Command::Server(command) => server_bmc::run(global, command).await,
        Command::Rescue(Rescue::Server(args)) => rescue_server::run(global, &args).await,
        Command::Approve(args) => approve::run(global, &args).await,
        Command::Quarantine(Quarantine::Server(args)) => server::quarantine(global, &args).await,
        Command::Verify(Verify::Server(args)) => server::verify(global, &args).await,
        Command::Adopt(Adopt::Machine(args)) => adopt_machine::run(global, &args).await,
        Command::Rebuild(Rebuild::Cluster(args)) => rebuild_cluster::run(global, &args).await,
        Command::Retry(what) => retry(global, what).await,
        Command::Replace(Replace::Machine(args)) => machine::replace(global, &args).await,
        Command::Get(args) => get::run(global, &args).await,
        Command::Explain(args) => explain::run(global, &args).await,
        Command::Evidence(args) => evidence::run(global, &args).await,
        Command::Image(command) => image::run(command).await,
        Command::Driver(command) => driver::run(global, command).await,
        Command::Lab(command) => lab::run(global, command).await,
        Command::Config(Config::Example) => {
            output::text(&appliance::example());
            Ok(())
        }
        Command::Completion(args) => {
            completion::run(&args, &mut Cli::command());
            Ok(())
        }
        Command::Man(args) => man::run(&args, Cli::command()),
        Command::Version(args) => version::run(global, &args).await,
    }
}

async fn retry(global: &Global, what: Retry) -> Outcome {
    match what {
        Retry::Machine(args) => machine::retry(global, &args).await,
        Retry::Server(args) => server::retry(global, &args).await,
    }
}

async fn snapshots(global: &Global, command: &Snapshot) -> Outcome {
    match command {
        Snapshot::Cluster(args) => snapshot::take(global, args).await,
        Snapshot::Open(args) => open_copy::run(args).await,
    }
}

async fn restore(global: &Global, command: &Restore) -> Outcome {
    match command {
        Restore::Cluster(args) => snapshot::restore(global, args).await,
        Restore::Appliance(args) => backup::restore(args).await,
    }
}

async fn upgrade(global: &Global, command: Upgrade) -> Outcome {
    match command {
        Upgrade::Cluster(args) => upgrade_cluster::run(global, &args).await,
        Upgrade::Plan(UpgradePlan::Cluster(args)) => upgrade_cluster::plan(global, &args).await,
        Upgrade::Pause(args) => rollout::pause(global, &args).await,
        Upgrade::Resume(args) => rollout::resume(global, &args).await,
        Upgrade::Retry(args) => rollout::retry(global, &args).await,
    }
}
