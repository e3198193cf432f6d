//! `gantry driver check`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use driver::json;
use driver::supervisor::{DriverLog, DriverProcess};
use driver::v1::machines_client::MachinesClient;
use driver::v1::{Capability, CheckItem, CheckResult, CheckScopeRequest, GetInfoResponse, Scope};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::started::{DriverArgs, read, resolve, settings};
use crate::failure::{Failure, Outcome};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    driver: DriverArgs,
    /// File with `config` and `secrets` of a scope to be checked; the value env:NAME of a secret is taken from the
    /// environment.
    #[arg(long, value_name = "FILE")]
    scope: Option<PathBuf>,
}

/// A scope as people write it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeFile {
    config: Map<String, Value>,
    #[serde(default)]
    secrets: BTreeMap<String, String>,
}

pub(crate) async fn run(args: &CheckArgs) -> Outcome {
    let driver = args.driver.configuration()?;
    let scope = args.scope.as_deref().map(read_scope).transpose()?;
    // The directory lives until the end.
    let (settings, _directory) = settings()?;
    let log = Arc::new(DriverLog::default());
    let started = DriverProcess::start(&driver, &settings, &log).await;
    for line in log.after(0) {
        output::note(format!("{}: {}", line.level, line.message));
    }
    let process = started?;
    output::line(described(process.info()));
    let checked = match scope {
        Some(scope) => check(&process, scope).await,
        None => Ok(()),
    };
    process.stop(&settings).await;
    checked
}

fn read_scope(file: &Path) -> Outcome<Scope> {
    let mut scope: ScopeFile = read(file)?;
    resolve(&mut scope.secrets)?;
    let secrets = scope.secrets.into_iter();
    Ok(Scope {
        scope_id: "check".to_owned(),
        config: Some(json::to_struct(&scope.config)),
        secrets: secrets.map(|(name, value)| (name, value.into_bytes())).collect(),
        secrets_generation: 1,
    })
}

fn described(info: &GetInfoResponse) -> String {
    let capabilities = info
        .capabilities
        .iter()
        .filter_map(|number| Capability::try_from(*number).ok());
    let capabilities: Vec<String> = capabilities
        .map(|capability| {
            capability
                .as_str_name()
                .trim_start_matches("CAPABILITY_")
                .to_lowercase()
        })
        .collect();
    let limits = info.limits.clone().unwrap_or_default();
    let parallel = match limits.max_parallel_creates {
        0 => "any number of".to_owned(),
        count => count.to_string(),
    };
    format!(
        "{} {} ({}), build {}\n  capabilities: {}\n  provider ids: {}://...\n  limits: names of {} characters, user data of \
         {} bytes, {parallel} machines made at once",
        info.name,
        info.version,
        info.title,
        info.build_id,
        capabilities.join(", "),
        info.provider_id_scheme,
        limits.max_name_len,
        limits.max_userdata_bytes,
    )
}

async fn check(process: &DriverProcess, scope: Scope) -> Outcome {
    let request = CheckScopeRequest {
        scope: Some(scope),
        ..CheckScopeRequest::default()
    };
    let refused = |status: tonic::Status| Failure::text(format!("the driver refuses: {}", status.message()));
    let stream = MachinesClient::new(process.channel()).check_scope(request).await;
    let mut stream = stream.map_err(refused)?.into_inner();
    let mut failed = 0_u32;
    while let Some(item) = stream.message().await.map_err(refused)? {
        failed += u32::from(item.result() == CheckResult::Fail);
        output::line(printed(&item));
    }
    match failed {
        0 => Ok(()),
        count => Err(Failure::text(format!("{count} checks of the scope have failed"))),
    }
}

fn printed(item: &CheckItem) -> String {
    let result = item.result().as_str_name().trim_start_matches("CHECK_RESULT_");
    let mut text = format!("  {result:<7} {}: {}", item.id, item.message);
    if !item.field.is_empty() {
        text.push_str(&format!(" ({})", item.field));
    }
    if !item.remedy.is_empty() {
        text.push_str(&format!("\n          {}", item.remedy));
    }
    text
}
