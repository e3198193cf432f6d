//! What BMCs say about the hardware of servers, many at once.

use clap::{Args, ValueEnum};
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::Client;
use resources::bmc::{Action, ReportKind};
use resources::keys;

use super::tables;
use super::told::Told;
use crate::failure::{Failure, Outcome};
use crate::snapshot::word;
use crate::{bmc_job, output};

/// BMCs that are asked at once.
const AT_ONCE: usize = 16;

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Names of servers, as `gantry get servers` shows them.
    #[arg(required_unless_present = "selector")]
    names: Vec<String>,
    /// Servers with these labels.
    #[arg(short = 'l', long, value_name = "KEY=VALUE,...")]
    selector: Option<String>,
    /// Namespace.
    #[arg(short, long, default_value = keys::DEFAULT_NAMESPACE)]
    namespace: String,
    /// Format.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// A list with one entry for each server.
    Json,
    /// The same list.
    Yaml,
}

pub(super) async fn run(client: &Client, args: &ReportArgs, kind: ReportKind) -> Outcome {
    let names = bmc_job::names(client, &args.namespace, &args.names, args.selector.as_deref()).await?;
    let count = names.len();
    let asked = futures::stream::iter(
        names
            .into_iter()
            .map(|name| ask(client, &args.namespace, name, kind)),
    );
    let answers: Vec<Outcome<Told>> = asked.buffered(AT_ONCE).collect().await;
    let (mut told, mut failures) = (Vec::new(), Vec::new());
    for answer in answers {
        match answer {
            Ok(answer) => told.push(answer),
            Err(failure) => failures.push(failure),
        }
    }
    print(&told, kind, args.output, count > 1)?;
    for answer in &told {
        for note in &answer.report.notes {
            output::note(format!("{}: {note}", answer.server));
        }
    }
    if count == 1 {
        return failures.pop().map_or(Ok(()), Err);
    }
    let failed = failures.len();
    for failure in failures {
        output::error(&failure.to_string());
    }
    match failed {
        0 => Ok(()),
        failed => Err(Failure::text(format!(
            "{failed} of {count} servers have not answered"
        ))),
    }
}

async fn ask(client: &Client, namespace: &str, name: String, kind: ReportKind) -> Outcome<Told> {
    let (_, bmc) = bmc_job::target(client, namespace, &name).await?;
    let action = Action {
        report: Some(kind),
        ..Action::default()
    };
    let job = bmc_job::job(&word(kind), &name, &bmc, action, Timestamp::now());
    let job = bmc_job::make(client, &job).await?;
    bmc_job::wait(client, namespace, &job, &name).await?;
    let report = bmc_job::report(client, namespace, &job).await?;
    bmc_job::forget(client, namespace, &job).await;
    Ok(Told { server: name, report })
}

fn print(told: &[Told], kind: ReportKind, format: Format, with_server: bool) -> Outcome {
    match format {
        Format::Json => output::line(serde_json::to_string_pretty(told)?),
        Format::Yaml => output::text(&serde_saphyr::to_string(&told)?),
        Format::Table => output::text(&tables::render(told, kind, with_server)),
    }
    Ok(())
}
