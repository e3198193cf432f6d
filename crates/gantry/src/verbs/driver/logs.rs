//! `gantry driver logs NAME`.

use clap::Args;
use kube::api::Api;
use resources::gantry::ProviderDriver;
use serde_json::json;

use crate::explain::{Record, records};
use crate::failure::{Failure, Outcome};
use crate::global::Global;
use crate::{connection, output};

#[derive(Debug, Args)]
#[command(
    after_help = "These are the lines that the driver has written, and what its supervisor says of it. As many are kept as of a \
                        machine (setting `recordsPerMachine`), also over starts of the appliance."
)]
pub(crate) struct LogsArgs {
    /// Name of the driver.
    name: String,
    /// How many lines, the newest.
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    lines: usize,
    /// `json` prints an object a line, for programs.
    #[arg(short, long, value_parser = ["json"])]
    output: Option<String>,
}

pub(crate) async fn run(global: &Global, args: &LogsArgs) -> Outcome {
    let client = connection::connect(global).await?;
    let mut newest = records(&client, "driverlogs", &args.name, args.lines).await?;
    if newest.is_empty() {
        let drivers: Api<ProviderDriver> = Api::all(client);
        if drivers.get_opt(&args.name).await?.is_none() {
            return Err(Failure::text(format!(
                "there is no driver {}; gantry driver list names those that there are",
                args.name
            )));
        }
        output::note(format!("driver {} has written nothing", args.name));
    }
    newest.truncate(args.lines);
    for record in newest.iter().rev() {
        output::line(printed(record, args.output.is_some()));
    }
    Ok(())
}

fn printed(record: &Record, for_programs: bool) -> String {
    let (level, text) = (record.text("level"), record.text("text"));
    if for_programs {
        return json!({"time": record.time, "level": level, "message": text}).to_string();
    }
    format!("{:.3} {level:<5} {text}", record.time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_for_people_or_for_programs() {
        let record = Record {
            machine: "vsphere".to_owned(),
            time: "2026-01-02T03:04:05.678901Z".parse().unwrap(),
            data: json!({"level": "warn", "text": "the session has ended"}),
        };
        assert_eq!(
            printed(&record, false),
            "2026-01-02T03:04:05.678Z warn  the session has ended"
        );
        let object: serde_json::Value = serde_json::from_str(&printed(&record, true)).unwrap();
        let expected = json!({"time": "2026-01-02T03:04:05.678901Z", "level": "warn",
            "message": "the session has ended"});
        assert_eq!(object, expected);
    }
}
