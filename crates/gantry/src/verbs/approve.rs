//! `gantry approve PLAN`: a person's approval of a plan, bound to the digest of what was shown.

use clap::Args;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use resources::gantry::{Plan, PlanApproval, PlanPhase};
use resources::keys;
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::global::Global;
use crate::progress::plan_lines;
use crate::snapshot::word;
use crate::{connection, output};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gantry approve prod-plan-7")]
pub(crate) struct ApproveArgs {
    /// Name of the plan.
    name: String,
    /// Namespace.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
    /// Only this digest; fails when the plan has another one.
    #[arg(long, value_name = "sha256:HEX")]
    digest: Option<String>,
}

pub(crate) async fn run(global: &Global, args: &ApproveArgs) -> Outcome {
    let client = connection::connect(global).await?;
    let plans: Api<Plan> = Api::namespaced(client.clone(), &args.namespace);
    let (name, namespace) = (&args.name, &args.namespace);
    let Some(plan) = plans.get_opt(name).await? else {
        return Err(Failure::text(format!(
            "there is no plan {name} in {namespace}; see: gantry get plans -n {namespace}"
        )));
    };
    let phase = plan
        .status
        .as_ref()
        .map(|status| status.phase)
        .unwrap_or_default();
    if phase != PlanPhase::Pending {
        return Err(Failure::text(format!(
            "plan {name} is {}: there is nothing to approve",
            word(phase)
        )));
    }
    let digest = plan.spec.digest();
    if args
        .digest
        .as_ref()
        .is_some_and(|wanted| *wanted != digest.to_string())
    {
        return Err(Failure::text(format!(
            "plan {name} has digest {digest}, which is not the one that you name"
        )));
    }
    for line in plan_lines(&plan) {
        output::note(line);
    }
    write(&client, &plan).await?;
    output::line(format!("plan {name} approved"));
    Ok(())
}

/// Approves a plan as it was read.
pub(crate) async fn write(client: &Client, plan: &Plan) -> Outcome {
    let (name, namespace) = (plan.name_any(), plan.namespace().unwrap_or_default());
    let approver = std::env::var("USER").ok().filter(|user| !user.is_empty());
    let approval = json!({
        "apiVersion": "gantry.dev/v1alpha1",
        "kind": "PlanApproval",
        "metadata": { "name": name, "labels": { keys::CLUSTER_NAME: plan.spec.cluster } },
        "spec": { "plan": name, "digest": plan.spec.digest(), "approver": approver },
    });
    let approvals: Api<PlanApproval> = Api::namespaced(client.clone(), &namespace);
    let params = PatchParams::apply(keys::MANAGER_CLI).force();
    approvals.patch(&name, &params, &Patch::Apply(&approval)).await?;
    Ok(())
}
