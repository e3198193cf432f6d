//! The observer of both ways.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::command::done;
use crate::rack::Rack;

/// Machines are emulated.
const LIMIT: Duration = Duration::from_secs(40 * 60);
/// Between two looks: each costs the machines a little of the host.
const LOOK: Duration = Duration::from_secs(2);

/// Names of the nodes that are Ready; `None` as long as the API does not answer.
pub(super) fn ready_nodes(rack: &Rack, kubeconfig: &Path) -> Option<Vec<String>> {
    let text = kubectl(
        rack,
        kubeconfig,
        &["get", "nodes", "--no-headers", "--request-timeout=10s"],
    )
    .ok()?;
    let ready = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        (words.next()? == "Ready").then(|| name.to_owned())
    };
    Some(text.lines().filter_map(ready).collect())
}

/// Runs kubectl from the site's namespace.
pub(super) fn kubectl(rack: &Rack, kubeconfig: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let program = rack.file("parts/bin/kubectl").display().to_string();
    let mut command = lab::site_command(&rack.plan, &program)?;
    command.arg("--kubeconfig").arg(kubeconfig).args(arguments);
    done(command.stdin(Stdio::null()))
}

/// Looks again and again until `look` says that it has seen enough.
pub(super) async fn until_seen(
    what: &str,
    mut look: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<Instant> {
    let began = Instant::now();
    while !look()? {
        if began.elapsed() > LIMIT {
            bail!("{what}: not within {} s", LIMIT.as_secs());
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(Instant::now())
}
