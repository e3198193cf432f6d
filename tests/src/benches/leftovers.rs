//! What a benchmark makes outside of itself (network namespaces with servers in them, folders, loop devices, racks), and
//! its removal when the benchmark is ended from outside.
//!
//! Names carry the number of the process, so nothing has to be remembered: after a signal the process removes what is its
//! own, and what a SIGKILL left is removed by the next benchmark, which finds that the process is gone.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::ensure;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::command::done;
use crate::rack;
use crate::server::program;

const PREFIX: &str = "gantry-bench-";
/// Folders are here: on a disk, where `/tmp` may be in memory.
const FOLDERS: &str = "/var/tmp";
const NAMESPACES: &str = "/run/netns";
/// Until processes that were killed are gone.
const END: Duration = Duration::from_secs(10);

/// A name that says whose it is.
pub(super) fn name(what: &str) -> String {
    format!("{PREFIX}{}-{what}", std::process::id())
}

/// An empty folder on disk; gone with the value.
pub(super) fn folder() -> std::io::Result<TempDir> {
    tempfile::Builder::new().prefix(&name("")).tempdir_in(FOLDERS)
}

/// Ends the programs that this process started and removes what it made.
pub(super) fn clear_own() {
    let own = std::process::id();
    said(clear(own));
    // Without its namespace no server is started any more.
    said(kill_all(|| Ok(children(own))));
}

/// Removes what benchmarks left that are gone.
pub(super) fn clear_of_the_gone() {
    let mut owners: Vec<u32> = entries(NAMESPACES)
        .iter()
        .chain(&entries(FOLDERS))
        .filter_map(|name| owner(name))
        .collect();
    owners.sort_unstable();
    owners.dedup();
    for owner in owners.into_iter().filter(|&owner| !runs(owner)) {
        eprintln!("removing what the benchmark of process {owner} left");
        said(clear(owner));
    }
    for name in entries(FOLDERS) {
        if let Some((owner, rack)) = rack::owner(&name)
            && !runs(owner)
        {
            eprintln!("removing rack {rack}, which process {owner} left");
            said(remove_rack(rack, &Path::new(FOLDERS).join(&name)));
        }
    }
}

fn said(result: anyhow::Result<()>) {
    if let Err(error) = result {
        eprintln!("not everything is removed: {error:#}");
    }
}

/// Whose a name is.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

/// Whether a process of that number runs this program, in whatever build of it.
fn runs(process: u32) -> bool {
    let name = std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    name.starts_with(env!("CARGO_PKG_NAME"))
}

fn entries(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

fn clear(process: u32) -> anyhow::Result<()> {
    let is_of = |name: &String| owner(name) == Some(process);
    for namespace in entries(NAMESPACES).iter().filter(|name| is_of(name)) {
        kill_all(|| inside(namespace))?;
        remove_namespace(namespace)?;
    }
    let folders: Vec<PathBuf> = entries(FOLDERS)
        .iter()
        .filter(|name| is_of(name))
        .map(|name| Path::new(FOLDERS).join(name))
        .collect();
    if folders.is_empty() {
        return Ok(());
    }
    let arguments = ["--list", "--noheadings", "--raw", "--output", "NAME,BACK-FILE"];
    for line in done(Command::new("losetup").args(arguments))?.lines() {
        if let Some((device, file)) = line.split_once(' ')
            && folders.iter().any(|folder| Path::new(file).starts_with(folder))
        {
            done(Command::new("losetup").args(["--detach", device]))?;
        }
    }
    for folder in folders {
        // The thread that measures may be removing it as well.
        if let Err(error) = std::fs::remove_dir_all(&folder)
            && folder.exists()
        {
            eprintln!("{} stays: {error}", folder.display());
        }
    }
    Ok(())
}

/// Removes a namespace, which may be gone already.
pub(super) fn remove_namespace(name: &str) -> anyhow::Result<()> {
    let removed = done(Command::new("ip").args(["netns", "delete", name]));
    match Path::new(NAMESPACES).join(name).exists() {
        true => removed.map(drop),
        false => Ok(()),
    }
}

fn remove_rack(rack: &str, folder: &Path) -> anyhow::Result<()> {
    done(Command::new(program()?).args(["lab", "down", rack]))?;
    Ok(std::fs::remove_dir_all(folder)?)
}

/// Processes in a namespace.
fn inside(namespace: &str) -> anyhow::Result<Vec<i32>> {
    if !Path::new(NAMESPACES).join(namespace).exists() {
        return Ok(Vec::new());
    }
    let listed = done(Command::new("ip").args(["netns", "pids", namespace]))?;
    Ok(listed
        .lines()
        .filter_map(|line| line.trim().parse().ok())
        .collect())
}

/// Processes that a process started.
pub(super) fn children(of: u32) -> Vec<i32> {
    let is_child = |process: &i32| {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        // A process that has ended is waited for by whoever started it.
        let ended = status.lines().any(|line| line.starts_with("State:\tZ"));
        !ended && parent.and_then(|parent| parent.trim().parse().ok()) == Some(of)
    };
    entries("/proc")
        .iter()
        .filter_map(|name| name.parse().ok())
        .filter(is_child)
        .collect()
}

fn kill_all(listed: impl Fn() -> anyhow::Result<Vec<i32>>) -> anyhow::Result<()> {
    let end = Instant::now() + END;
    loop {
        let processes = listed()?;
        if processes.is_empty() {
            return Ok(());
        }
        ensure!(
            Instant::now() < end,
            "processes {processes:?} do not end on SIGKILL"
        );
        for process in processes {
            // It may have ended by itself.
            let _ = kill(Pid::from_raw(process), Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whose_it_is() {
        assert_eq!(owner(&name("server")), Some(std::process::id()));
        for other in [
            "gantry-bench-server",
            "gantry-lab-12-site",
            "x-gantry-bench-12-server",
        ] {
            assert_eq!(owner(other), None, "{other}");
        }
        assert!(runs(std::process::id()) && !runs(0));
    }

    #[test]
    fn children_are_found_and_killed() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let process = i32::try_from(child.id()).unwrap();
        assert!(children(std::process::id()).contains(&process));
        kill_all(|| {
            Ok(children(std::process::id())
                .into_iter()
                .filter(|&child| child == process)
                .collect())
        })
        .unwrap();
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn what_a_process_made_goes_with_it() {
        let gone = u32::MAX;
        let folder = Path::new(FOLDERS).join(format!("{PREFIX}{gone}-x"));
        std::fs::create_dir_all(folder.join("site")).unwrap();
        clear(gone).unwrap();
        assert!(!folder.exists());
    }
}
