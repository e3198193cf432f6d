//! `gantry driver conformance`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use driver::conformance::{CommandHooks, Parameters, PeerHooks, Selection, run as run_suite};

use super::started::{DriverArgs, read, resolve, settings};
use crate::failure::{Failure, Outcome};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct ConformanceArgs {
    #[command(flatten)]
    driver: DriverArgs,
    /// File with config, secrets and the machine to make; see docs/write-a-driver.md.
    #[arg(short, long, value_name = "FILE")]
    parameters: PathBuf,
    /// Program that acts at the provider behind the driver's back; see docs/write-a-driver.md. Without it some cases are not run.
    #[arg(long, value_name = "PROGRAM")]
    hooks: Option<PathBuf>,
    /// Only these cases, as M1, or groups, as K; may be repeated.
    #[arg(long, value_name = "CASE", value_delimiter = ',')]
    only: Vec<String>,
}

pub(crate) async fn run(args: ConformanceArgs) -> Outcome {
    let driver = args.driver.configuration()?;
    let mut parameters: Parameters = read(&args.parameters)?;
    resolve(&mut parameters.secrets)?;
    if let Some(wrong) = &mut parameters.wrong_secrets {
        resolve(wrong)?;
    }
    let hooks = args
        .hooks
        .map(|program| Arc::new(CommandHooks { program }) as Arc<dyn PeerHooks>);
    let selection = match args.only {
        only if only.is_empty() => Selection::All,
        only => Selection::Only(only),
    };
    // The directory lives until the end.
    let (settings, _directory) = settings()?;
    let report = run_suite(driver, settings, parameters, hooks, &selection, |row| {
        output::line(row.to_string());
    });
    let report = report.await?;
    let (passed, failed, not_run) = report.counts();
    if report.rows.is_empty() {
        return Err(Failure::BadInput("--only names no case".to_owned()));
    }
    output::line(format!(
        "{}: {passed} passed, {failed} failed, {not_run} not run",
        report.driver
    ));
    if report.conforms() {
        Ok(())
    } else {
        Err(Failure::text(format!(
            "{} breaks the contract in {failed} cases",
            report.driver
        )))
    }
}
