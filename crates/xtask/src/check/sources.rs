//! The Rust files of the workspace, read once.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::lexer;
use crate::workspace::Workspace;

/// Every Rust file under `src` of every package; files and folders named `tests` apart.
#[derive(Debug, Default)]
pub(super) struct Sources(pub(super) Vec<Source>);

/// One file.
#[derive(Debug)]
pub(super) struct Source {
    /// Path from the workspace's root.
    pub(super) path: PathBuf,
    /// The file with its tests.
    pub(super) whole: String,
    /// The file without its test modules.
    pub(super) text: String,
    /// `text` without comments and literals.
    pub(super) code: String,
}

impl Sources {
    pub(super) fn read(workspace: &Workspace) -> anyhow::Result<Sources> {
        let mut paths = Vec::new();
        for package in &workspace.packages {
            collect(&package.folder.join("src"), &mut paths)?;
        }
        paths.sort();
        let mut sources = Vec::with_capacity(paths.len());
        for path in paths {
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let short = path.strip_prefix(&workspace.root).unwrap_or(&path).to_owned();
            sources.push(Source::new(short, &text));
        }
        Ok(Sources(sources))
    }
}

impl Source {
    pub(super) fn new(path: impl Into<PathBuf>, text: &str) -> Source {
        let code = lexer::without_tests(&lexer::code_only(text));
        Source {
            path: path.into(),
            whole: text.to_owned(),
            text: lexer::without_tests(text),
            code,
        }
    }

    /// `path:line` of a line counted from 0.
    pub(super) fn place(&self, line: usize) -> String {
        format!("{}:{}", self.path.display(), line + 1)
    }
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.file_stem().is_some_and(|stem| stem == "tests") {
            continue;
        }
        if path.is_dir() {
            collect(&path, into)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
    Ok(())
}
