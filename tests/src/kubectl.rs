//! The real kubectl: the one that the image recipes build, else the one on PATH.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, bail};

/// kubectl with a kubeconfig.
#[derive(Debug, Clone)]
pub(crate) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    /// Finds it; `None` when there is none.
    pub(crate) fn find(kubeconfig: &Path) -> Option<Kubectl> {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
        let built = below(&cache.join("gantry"), 3);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path = std::env::split_paths(&path)
            .map(|folder| folder.join("kubectl"))
            .find(|file| file.is_file());
        let program = built.or(on_path)?;
        Some(Kubectl {
            program,
            kubeconfig: kubeconfig.to_owned(),
        })
    }

    /// A command; the story prints it, so that the output is a transcript.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        println!("$ kubectl {}", arguments.join(" "));
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments);
        command
    }

    /// Runs it and gives its output.
    pub(crate) fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        finished("kubectl", arguments, &self.command(arguments).output()?)
    }

    /// Runs it with a text on standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        child
            .stdin
            .take()
            .context("no standard input")?
            .write_all(input.as_bytes())?;
        finished("kubectl", arguments, &child.wait_with_output()?)
    }

    /// Runs it and expects that it fails; gives what it said.
    pub(crate) fn refused(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        match self.run_with(arguments, input) {
            Ok(output) => bail!("kubectl {} should be refused: {output}", arguments.join(" ")),
            Err(error) => Ok(format!("{error:#}")),
        }
    }
}

/// Shows what a program printed and gives it; a failure is told with its complaint.
pub(crate) fn finished(program: &str, arguments: &[&str], output: &Output) -> anyhow::Result<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{text}");
    if output.status.success() {
        return Ok(text);
    }
    bail!(
        "{program} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    )
}

/// `kubectl` in a folder, at most so deep: recipes keep it below a digest.
fn below(folder: &Path, depth: usize) -> Option<PathBuf> {
    let direct = folder.join("kubectl");
    if direct.is_file() {
        return Some(direct);
    }
    if depth == 0 {
        return None;
    }
    let mut folders: Vec<PathBuf> = std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders.iter().find_map(|folder| below(folder, depth - 1))
}
