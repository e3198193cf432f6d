//! H: secrets, sessions, and what a driver leaves around.

use std::collections::BTreeSet;
use std::path::Path;

use crate::conformance::case::{Case, case};
use crate::conformance::hooks::Hook;
use crate::conformance::subject::Subject;
use crate::conformance::verdict::{Checked, Problem, ensure};
use crate::v1::Userdata;

pub(super) const CASES: &[Case] = &[
    case!("H1", "says no secret in log, state or error", no_secrets),
    case!("H2", "closes its sessions when it drains", no_sessions),
    case!("H3", "keeps no descriptor of calls that are over", no_descriptors),
    case!("H8", "listens on no TCP port", no_tcp),
];

/// Stands in the user data; nobody else has a reason to say it.
const CANARY: &str = "canary-7f3a9c51e0";

async fn no_secrets(subject: &Subject) -> Checked {
    let mut said = Vec::new();
    let driven = subject.start().await?;
    let mut order = subject.order();
    let limits = subject.info.limits.clone().unwrap_or_default();
    if let Some(format) = limits.formats.first() {
        order.spec.userdata = Some(Userdata {
            format: *format,
            data: CANARY.into(),
            metadata: Vec::new(),
        });
    }
    driven.create(&mut order).await?;
    said.push((
        "driver_state",
        String::from_utf8_lossy(order.state()).into_owned(),
    ));
    said.push((
        "the answer to GetMachine",
        format!("{:?}", driven.get(&order).await?),
    ));
    let mut wrong = order.clone();
    wrong.hash = "c".repeat(64);
    if let Err(status) = driven.create_once(&mut wrong).await {
        said.push(("an error", format!("{status:?}")));
    }
    driven.delete(&mut order).await?;
    driven.process.stop(&subject.settings).await;
    let lines = subject.log.after(0);
    said.extend(lines.into_iter().map(|line| ("the log", line.message)));
    let secrets = subject
        .parameters
        .secrets
        .values()
        .filter(|secret| secret.len() >= 6);
    for secret in secrets.map(String::as_str).chain([CANARY]) {
        for (place, text) in &said {
            ensure!(!text.contains(secret), "{place} holds a secret or user data");
        }
    }
    Ok(())
}

async fn no_sessions(subject: &Subject) -> Checked {
    let before = subject.count(Hook::CountSessions).await?;
    let driven = subject.start().await?;
    let mut order = subject.order();
    driven.create(&mut order).await?;
    driven.delete(&mut order).await?;
    driven.process.stop(&subject.settings).await;
    let after = subject.count(Hook::CountSessions).await?;
    ensure!(
        after <= before,
        "{before} sessions were open before, and {after} are afterwards"
    );
    Ok(())
}

fn descriptors(pid: u32) -> Result<Vec<String>, Problem> {
    let folder = format!("/proc/{pid}/fd");
    let entries =
        std::fs::read_dir(&folder).map_err(|error| Problem::NotRun(format!("{folder}: {error}")))?;
    let links = entries
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok());
    Ok(links.map(|link| link.to_string_lossy().into_owned()).collect())
}

async fn no_descriptors(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    let mut order = subject.order();
    driven.create(&mut order).await?;
    let before = descriptors(driven.process.pid())?.len();
    for _ in 0..500 {
        driven.get(&order).await?;
    }
    let after = descriptors(driven.process.pid())?.len();
    ensure!(
        after <= before + 16,
        "after 500 calls it has {after} open files, and had {before}"
    );
    Ok(())
}

async fn no_tcp(subject: &Subject) -> Checked {
    let driven = subject.start().await?;
    driven.get(&subject.order()).await?;
    let pid = driven.process.pid();
    let own: BTreeSet<String> = descriptors(pid)?.into_iter().collect();
    for table in ["tcp", "tcp6"] {
        for inode in listening(&Path::new("/proc").join(pid.to_string()).join("net").join(table)) {
            ensure!(
                !own.contains(&format!("socket:[{inode}]")),
                "it listens on a TCP port"
            );
        }
    }
    Ok(())
}

/// Inodes of sockets in state LISTEN (0A), from a table of proc(5).
fn listening(table: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(table).unwrap_or_default();
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.get(3) == Some(&"0A")).then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
    };
    text.lines().skip(1).filter_map(inode).collect()
}
