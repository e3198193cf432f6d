//! `gantry driver gc --dry-run`.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, Patch};
use resources::gantry::{Orphan, OrphanList, ProviderDriver};
use resources::keys;
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};
use crate::global::Global;
use crate::{connection, output, time};

/// How long a list is waited for; a call to a driver takes half a minute at most.
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(300);

#[derive(Debug, Args)]
#[command(
    after_help = "An orphan bears the mark of this appliance and belongs to no ProviderMachine. It is confirmed when two lists have it, \
                        so far apart that it can't be on its way out. Nothing is deleted: look at each of them at the provider."
)]
pub(crate) struct GcArgs {
    /// Only list what is left at the providers.
    #[arg(long, required = true)]
    dry_run: bool,
    /// Only of this driver.
    driver: Option<String>,
    /// `json` prints the result for programs.
    #[arg(short, long, value_parser = ["json"])]
    output: Option<String>,
}

/// The list of one scope.
struct Listed {
    driver: String,
    scope: String,
    list: OrphanList,
}

pub(crate) async fn run(global: &Global, args: &GcArgs) -> Outcome {
    debug_assert!(args.dry_run);
    let client = connection::connect(global).await?;
    let api: Api<ProviderDriver> = Api::all(client);
    let names = names(&api, args.driver.as_deref()).await?;
    let request = Timestamp::now().to_string();
    let wish = json!({"metadata": {"annotations": {keys::ORPHANS_REQUESTED: request}}});
    for name in &names {
        let params = connection::patch_params();
        api.patch(name, &params, &Patch::Merge(&wish)).await?;
    }
    let mut listed = Vec::new();
    for name in &names {
        listed.extend(answered(&api, name, &request).await?);
    }
    if args.output.is_some() {
        let scopes: Vec<Value> = listed.iter().map(for_programs).collect();
        output::line(serde_json::to_string_pretty(&json!({"scopes": scopes}))?);
    } else {
        output::text(&table(&listed, Timestamp::now()));
    }
    let failed: Vec<String> = listed.iter().filter_map(failure).collect();
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Failure::text(failed.join("\n"))),
    }
}

async fn names(api: &Api<ProviderDriver>, only: Option<&str>) -> Outcome<Vec<String>> {
    let drivers = api.list(&ListParams::default()).await?;
    let names: Vec<String> = drivers.iter().map(kube::ResourceExt::name_any).collect();
    match only {
        None => Ok(names),
        Some(name) if names.iter().any(|known| known == name) => Ok(vec![name.to_owned()]),
        Some(name) => Err(Failure::text(format!(
            "there is no driver {name}; gantry driver list names those that there are"
        ))),
    }
}

/// The lists of a driver that answer the request.
async fn answered(api: &Api<ProviderDriver>, name: &str, request: &str) -> Outcome<Vec<Listed>> {
    let begin = tokio::time::Instant::now();
    loop {
        let driver = api.get(name).await?;
        let status = driver.status.clone().unwrap_or_default();
        let lists = driver.spec.scopes.iter().map(|scope| {
            let list = status.scope(&scope.name)?.orphans.clone()?;
            (list.request.as_deref() == Some(request)).then_some(Listed {
                driver: driver.name_any(),
                scope: scope.name.clone(),
                list,
            })
        });
        if let Some(lists) = lists.collect::<Option<Vec<Listed>>>() {
            return Ok(lists);
        }
        if begin.elapsed() > PATIENCE {
            return Err(Failure::text(format!(
                "driver {name} has listed nothing yet; it is {}: {}",
                status.phase,
                status.reason.unwrap_or_default()
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn failure(listed: &Listed) -> Option<String> {
    let error = listed.list.error.as_ref()?;
    Some(format!(
        "scope {} of driver {} was not listed, so nothing is known of it: {error}",
        listed.scope, listed.driver
    ))
}

fn for_programs(listed: &Listed) -> Value {
    json!({"driver": listed.driver, "scope": listed.scope, "machines": listed.list.machines,
        "listedAt": listed.list.listed_at, "error": listed.list.error, "orphans": listed.list.orphans})
}

fn table(listed: &[Listed], now: Timestamp) -> String {
    let mut text = String::new();
    let complete = listed.iter().filter(|listed| listed.list.error.is_none());
    let mut rows = Vec::new();
    for listed in complete {
        text.push_str(&format!(
            "scope {} of driver {}: {} machines of this appliance, {} of them orphans\n",
            listed.scope,
            listed.driver,
            listed.list.machines,
            listed.list.orphans.len()
        ));
        rows.extend(listed.list.orphans.iter().map(|orphan| row(listed, orphan, now)));
    }
    if !rows.is_empty() {
        let header = [
            "DRIVER",
            "SCOPE",
            "NAME",
            "CLUSTER",
            "PROVIDERID",
            "PHASE",
            "SEEN",
            "CONFIRMED",
        ];
        text.push_str(&output::table(&header, &rows));
    }
    text
}

fn row(listed: &Listed, orphan: &Orphan, now: Timestamp) -> Vec<String> {
    let since = orphan.since.as_ref().map(|since| time::ago(since.0, now));
    vec![
        listed.driver.clone(),
        listed.scope.clone(),
        orphan.name.clone(),
        orphan.cluster.clone(),
        orphan.provider_id.clone(),
        orphan.phase.clone(),
        since.unwrap_or_default(),
        if orphan.confirmed { "yes" } else { "no" }.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use resources::Time;

    use super::*;

    fn listed(error: Option<&str>) -> Listed {
        Listed {
            driver: "memory".to_owned(),
            scope: "lab".to_owned(),
            list: OrphanList {
                machines: 3,
                error: error.map(str::to_owned),
                orphans: vec![Orphan {
                    name: "prod-1".to_owned(),
                    machine_uid: "m".to_owned(),
                    cluster: "prod".to_owned(),
                    provider_id: "memory://7".to_owned(),
                    phase: "running".to_owned(),
                    since: Some(Time(Timestamp::UNIX_EPOCH)),
                    confirmed: true,
                }],
                ..OrphanList::default()
            },
        }
    }

    #[test]
    fn orphans_are_shown_only_of_complete_lists() {
        let now = Timestamp::from_second(40).unwrap();
        let text = table(&[listed(None)], now);
        let expected = "scope lab of driver memory: 3 machines of this appliance, 1 of them orphans\n\
                        DRIVER  SCOPE  NAME    CLUSTER  PROVIDERID  PHASE    SEEN  CONFIRMED\n\
                        memory  lab    prod-1  prod     memory://7  running  40s   yes\n";
        assert_eq!(text, expected);
        assert_eq!(table(&[listed(Some("down"))], now), "");
        let failed = failure(&listed(Some("down"))).unwrap();
        assert!(failed.ends_with("nothing is known of it: down"), "{failed}");
        assert_eq!(failure(&listed(None)), None);
    }
}
