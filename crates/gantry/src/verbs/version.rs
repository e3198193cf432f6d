//! `gantry version`.

use clap::Args;
use serde_json::json;

use crate::connection;
use crate::failure::Outcome;
use crate::global::Global;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    /// Also ask the server.
    #[arg(long)]
    server: bool,
    /// `json` for programs.
    #[arg(short, long, value_parser = ["json"])]
    output: Option<String>,
}

pub(crate) async fn run(global: &Global, args: &VersionArgs) -> Outcome {
    let own = env!("CARGO_PKG_VERSION");
    let server = if args.server {
        let client = connection::connect(global).await?;
        Some(client.apiserver_version().await?.git_version)
    } else {
        None
    };
    if args.output.is_some() {
        output::line(json!({ "gantry": own, "server": server }).to_string());
    } else {
        output::line(format!("gantry {own}"));
        if let Some(server) = server {
            output::line(format!("server {server}"));
        }
    }
    Ok(())
}
