//! What a person says of a server: keep it for inspection, use it again.

use std::time::Duration;

use serde_json::Value;

use crate::gantry::Gantry;
use crate::new_cluster::text;
use crate::said::says;
use crate::waiting::until;

const PATIENCE: Duration = Duration::from_secs(30);
/// Exit code for what can't be done.
const FAILED: i32 = 1;

/// `server` is there and claimed by nobody.
pub(super) async fn run(gantry: &Gantry, server: &str) -> anyhow::Result<()> {
    let unknown = ["quarantine", "server", "nobody", "--reason", "fan"];
    says(&gantry.refused(&unknown, FAILED)?, &["there is no server nobody"])?;
    let kept = gantry.run(&["quarantine", "server", server, "--reason", "fan"])?;
    says(&kept, &["no machine takes it"])?;
    reason(gantry, server, "kept out of use (fan)").await?;
    gantry.run(&["quarantine", "server", server, "--end"])?;
    reason(gantry, server, "free").await?;
    let again = gantry.refused(&["quarantine", "server", server, "--end"], FAILED)?;
    says(&again, &["not in quarantine"])?;
    let nothing = gantry.refused(&["retry", "server", server], FAILED)?;
    says(&nothing, &["an installation of", "nothing to try again"])
}

async fn reason(gantry: &Gantry, server: &str, expected: &str) -> anyhow::Result<()> {
    until(&format!("{server} says {expected:?}"), PATIENCE, || async {
        let look = || -> anyhow::Result<String> {
            let object: Value = serde_json::from_str(&gantry.run(&["get", "server", server, "-o", "json"])?)?;
            Ok(text(&object["status"]["reason"]))
        };
        let reason = look().map_err(|error| format!("{error:#}"))?;
        match reason.contains(expected) {
            true => Ok(()),
            false => Err(reason),
        }
    })
    .await
}
