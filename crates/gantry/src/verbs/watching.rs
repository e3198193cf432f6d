//! A cluster's files applied, and what becomes of them watched until it is ready.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Client, ResourceExt as _};
use resources::anywhere::Cluster;
use resources::gantry::{Plan, PlanPhase};

use crate::failure::{Failure, Outcome};
use crate::output;
use crate::progress::{Screen, Verdict, plan_lines, view};
use crate::snapshot::Snapshot;
use crate::verbs::approve;
use crate::verbs::cluster_files::{Checked, ClusterFiles, apply, current, get};

/// How often progress is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long an appliance may be silent before watching ends.
const SILENCE: Duration = Duration::from_secs(120);
/// After so long the appliance has looked again at a cluster that it had refused.
const LOOKED_AGAIN: Duration = Duration::from_secs(45);

/// What is applied and watched, and what is said of it.
pub(crate) struct Watching<'a> {
    pub(crate) client: &'a Client,
    pub(crate) checked: &'a Checked,
    pub(crate) files: &'a ClusterFiles,
    /// The command that watches again.
    pub(crate) again: String,
    /// Name of the log in the cluster's folder.
    pub(crate) log: String,
    pub(crate) approval: Approval,
}

/// Who approves a plan that waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Approval {
    /// Somebody, with another command.
    Elsewhere,
    /// The person who runs the command has said yes beforehand.
    Given,
    /// The person who runs the command is asked.
    Ask,
}

impl Watching<'_> {
    /// Applies everything, and watches it unless nobody wants to.
    pub(crate) async fn apply_and_watch(&self) -> Outcome {
        let (client, checked) = (self.client, self.checked);
        let name = checked.bundle.name();
        let folder = PathBuf::from(&name);
        std::fs::create_dir_all(&folder)?;
        let before = get::<Cluster>(client, &checked.namespace, &name).await?;
        let refused_before = before.and_then(|cluster| cluster.status?.failure_message);
        let mut screen = Screen::new(Some(&folder.join(&self.log)));
        apply(client, checked, &mut screen).await?;
        if self.files.no_wait {
            screen.end();
            output::line(format!("{name}: applied; watch it with: {}", self.again));
            return Ok(());
        }
        self.watch(screen, refused_before.as_deref()).await?;
        finish(client, checked, &checked.text, &folder).await
    }
}

impl Watching<'_> {
    /// Draws progress until the cluster is ready, has failed, or the user stops watching. What refused it before may be
    /// gone, and is believed only when the appliance has looked again.
    async fn watch(&self, mut screen: Screen, refused_before: Option<&str>) -> Outcome {
        let (client, checked) = (self.client, self.checked);
        let begun = Instant::now();
        let name = checked.bundle.name();
        let again = format!("watch it again with: {}", self.again);
        let limit = self.files.timeout;
        let limit = limit.map(|minutes| Instant::now() + Duration::from_secs(minutes * 60));
        let (mut told_plan, mut asked, mut ready) = (None, None, false);
        let (mut silent_since, mut told_silence) = (None::<Instant>, false);
        let stop = tokio::signal::ctrl_c();
        tokio::pin!(stop);
        loop {
            let snapshot = match Snapshot::progress(client, &checked.namespace).await {
                Ok(snapshot) => snapshot,
                // The appliance may be starting anew; the cluster goes on meanwhile.
                Err(error) if silent_since.get_or_insert_with(Instant::now).elapsed() < SILENCE => {
                    if !std::mem::replace(&mut told_silence, true) {
                        screen.say(&format!("the appliance does not answer, trying again: {error}"));
                    }
                    tokio::time::sleep(LOOK).await;
                    continue;
                }
                Err(error) => {
                    screen.end();
                    return Err(error);
                }
            };
            (silent_since, told_silence) = (None, false);
            if let Some(plan) = snapshot
                .plan_of(&name)
                .filter(|plan| told_plan.as_ref() != Some(&plan.name_any()))
            {
                told_plan = Some(plan.name_any());
                plan_lines(plan).iter().for_each(|line| screen.say(line));
            }
            let waiting = snapshot
                .plan_of(&name)
                .filter(|plan| plan.phase() == PlanPhase::Pending);
            if let Some(plan) = waiting.filter(|plan| asked.as_ref() != Some(&plan.name_any())) {
                asked = Some(plan.name_any());
                if let Err(failure) = self.approve(plan, &mut screen).await {
                    screen.end();
                    return Err(failure);
                }
            }
            let view = view(&snapshot, &name, Timestamp::now());
            screen.show(&view);
            // Before it has taken the documents over, it says how it was.
            let is_ready = view.verdict == Verdict::Ready && self.is_recorded().await?;
            let was_ready = std::mem::replace(&mut ready, is_ready);
            match view.verdict {
                Verdict::Ready if is_ready && was_ready => {
                    screen.end();
                    return Ok(());
                }
                Verdict::Ready => {}
                Verdict::Refused(reason)
                    if refused_before == Some(reason.as_str()) && begun.elapsed() < LOOKED_AGAIN => {}
                Verdict::Failed(reason) | Verdict::Refused(reason) => {
                    screen.end();
                    return Err(Failure::text(format!(
                        "{name}: {reason}\nmore: gantry explain {name}"
                    )));
                }
                Verdict::Going => {}
            }
            if limit.is_some_and(|limit| Instant::now() > limit) {
                screen.end();
                return Err(Failure::text(format!(
                    "{name}: not ready in time; it goes on; {again}"
                )));
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = &mut stop => {
                    screen.end();
                    return Err(Failure::Interrupted(format!("{name}: it goes on without you; {again}")));
                }
            }
        }
    }
}

impl Watching<'_> {
    /// Whether the appliance has taken the documents over.
    async fn is_recorded(&self) -> Outcome<bool> {
        let known = current(self.client, self.checked).await?;
        Ok(known.is_some_and(|known| known.documents() == self.checked.bundle.documents()))
    }

    /// What the person who runs the command says to a plan that waits for a person.
    async fn approve(&self, plan: &Plan, screen: &mut Screen) -> Outcome {
        let name = plan.name_any();
        match self.approval {
            Approval::Elsewhere => return Ok(()),
            Approval::Given => {}
            Approval::Ask if !std::io::stdin().is_terminal() => {
                return Err(Failure::text(format!(
                    "plan {name} waits for approval, and nobody can be asked here: gantry approve {name}, or run the command \
                     with --yes"
                )));
            }
            Approval::Ask if screen.ask("Carry the plan out? [y/N] ") => {}
            Approval::Ask => {
                return Err(Failure::text(format!(
                    "plan {name} waits, and no machine was touched; carry it out with: gantry approve {name}; or apply the old \
                     file again"
                )));
            }
        }
        approve::write(self.client, plan).await?;
        screen.say(&format!("plan {name} approved"));
        Ok(())
    }
}

/// Leaves kubeconfig and YAML where EKS Anywhere's users look for them.
async fn finish(client: &Client, checked: &Checked, text: &str, folder: &Path) -> Outcome {
    let name = checked.bundle.name();
    let secret = get::<Secret>(client, &checked.namespace, &format!("{name}-kubeconfig")).await?;
    let kubeconfig = secret
        .and_then(|secret| secret.data?.remove("value"))
        .ok_or_else(|| {
            Failure::text(format!(
                "Secret {name}-kubeconfig has no value; more: gantry explain {name}"
            ))
        })?;
    let path = folder.join(format!("{name}-eks-a-cluster.kubeconfig"));
    output::private_file(&path, &kubeconfig.0)?;
    std::fs::write(folder.join(format!("{name}-eks-a-cluster.yaml")), text)?;
    output::line(format!(
        "{name} is ready: kubectl --kubeconfig {} get nodes",
        path.display()
    ));
    Ok(())
}
