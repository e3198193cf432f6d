//! `gantry renew certificates NAME`: new certificates for the control plane of a cluster and for its kubeconfig.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, Patch};
use resources::anywhere::{Cluster, ClusterStatus};
use resources::gantry::{ControlPlane, Plan, PlanClass, PlanPhase};
use resources::{Time, keys};
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::global::Global;
use crate::progress::plan_lines;
use crate::{connection, output};

/// How long each member is waited for.
const PATIENCE: Duration = Duration::from_secs(25 * 60);
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gantry renew certificates prod")]
pub(crate) struct RenewArgs {
    /// Name of the cluster.
    name: String,
    /// Namespace.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
}

/// Asks for new certificates and waits until they are in use.
pub(crate) async fn run(global: &Global, args: &RenewArgs) -> Outcome {
    let client = connection::connect(global).await?;
    let control_planes: Api<ControlPlane> = Api::namespaced(client.clone(), &args.namespace);
    let known = read(&control_planes, args).await?;
    let patch = json!({ "spec": { "renewalRequestedAt": Time(Timestamp::now()) } });
    let params = connection::patch_params();
    control_planes
        .patch(&args.name, &params, &Patch::Merge(patch))
        .await?;
    let members = u32::try_from(known.spec.replicas).unwrap_or(1).max(1);
    let end = tokio::time::Instant::now() + PATIENCE.saturating_mul(members);
    let mut shown = Shown::default();
    loop {
        let known = read(&control_planes, args).await?;
        let status = status(&client, args).await?;
        if known.spec.renewal_requested_at.is_none() {
            lines(&args.name, &status).iter().for_each(output::line);
            return Ok(());
        }
        shown.news(newest_plan(&client, args).await?.as_ref(), &status);
        if tokio::time::Instant::now() >= end {
            return Err(Failure::text(format!(
                "{}: the certificates are not renewed yet; it goes on without this command; see: gantry explain {}",
                args.name, args.name
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What was said so far.
#[derive(Default)]
struct Shown {
    plan: Option<u32>,
    reason: Option<String>,
}

impl Shown {
    /// Says what is new.
    fn news(&mut self, plan: Option<&Plan>, status: &ClusterStatus) {
        let renews =
            |plan: &&Plan| plan.spec.class == PlanClass::Maintain && plan.phase() == PlanPhase::Executing;
        if let Some(plan) = plan.filter(renews)
            && self.plan != Some(plan.spec.number)
        {
            self.plan = Some(plan.spec.number);
            plan_lines(plan).iter().for_each(output::note);
        }
        if status.reason.is_some() && status.reason != self.reason {
            self.reason.clone_from(&status.reason);
            status.reason.iter().for_each(output::note);
        }
    }
}

async fn read(control_planes: &Api<ControlPlane>, args: &RenewArgs) -> Outcome<ControlPlane> {
    control_planes.get_opt(&args.name).await?.ok_or_else(|| {
        Failure::text(format!(
            "there is no cluster {} with machines in {}; see: gantry get clusters -A",
            args.name, args.namespace
        ))
    })
}

async fn status(client: &Client, args: &RenewArgs) -> Outcome<ClusterStatus> {
    let clusters: Api<Cluster> = Api::namespaced(client.clone(), &args.namespace);
    let cluster = clusters.get_opt(&args.name).await?;
    Ok(cluster.and_then(|cluster| cluster.status).unwrap_or_default())
}

async fn newest_plan(client: &Client, args: &RenewArgs) -> Outcome<Option<Plan>> {
    let plans: Api<Plan> = Api::namespaced(client.clone(), &args.namespace);
    let plans = plans.list(&Default::default()).await?.items.into_iter();
    let own = plans.filter(|plan| plan.spec.cluster == args.name);
    Ok(own.max_by_key(|plan| plan.spec.number))
}

/// How long each member's certificates count.
fn lines(name: &str, status: &ClusterStatus) -> Vec<String> {
    let mut lines = vec![format!("{name}: the certificates and the kubeconfig are new")];
    let members = status.cluster_certificate_info.iter();
    lines.extend(members.map(|known| format!("  {} for {} days", known.machine, known.expires_in_days)));
    lines
}

#[cfg(test)]
mod tests {
    use resources::anywhere::ClusterCertificateInfo;

    use super::*;

    #[test]
    fn each_member_in_one_line() {
        let status = ClusterStatus {
            cluster_certificate_info: vec![ClusterCertificateInfo {
                machine: "prod-cp-x7k2p".to_owned(),
                expires_in_days: 364,
            }],
            ..ClusterStatus::default()
        };
        assert_eq!(
            lines("prod", &status),
            [
                "prod: the certificates and the kubeconfig are new",
                "  prod-cp-x7k2p for 364 days"
            ]
        );
    }
}
