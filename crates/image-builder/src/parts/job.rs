//! What a recipe works with.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use crate::command::Run;
use crate::error::{Error, Result};
use crate::part::Part;
use crate::progress::{Event, Progress};
use crate::versions::ReleaseRecipe;

/// File of the Debian part: the tree.
pub(super) const DEBIAN_TREE: &str = "root.tar.zst";

/// What a recipe works with.
pub(crate) struct Job<'a> {
    /// Release that it is a part of.
    pub(crate) release: ReleaseRecipe,
    /// Part that is built.
    pub(crate) part: Part,
    /// Results of other parts.
    pub(crate) inputs: BTreeMap<Part, PathBuf>,
    /// What becomes the result.
    pub(crate) out: PathBuf,
    /// Scratch space.
    pub(crate) work: PathBuf,
    /// Debian archive.
    pub(crate) mirror: String,
    pub(crate) progress: &'a Progress,
    pub(crate) cancel: &'a AtomicBool,
    pub(crate) step: Cell<u32>,
}

impl Job<'_> {
    /// Announces the next step.
    pub(crate) fn step(&self, name: impl Into<String>) {
        let number = self.step.get() + 1;
        self.step.set(number);
        let part = self.part.name();
        (self.progress)(Event::Step {
            part,
            number,
            of: self.part.steps(),
            name: name.into(),
        });
    }

    /// Runs a program and shows its lines.
    pub(crate) fn run(&self, run: Run) -> Result<()> {
        run.lines(self.cancel, &mut |text| {
            (self.progress)(Event::Line {
                part: self.part.name(),
                text: text.to_owned(),
            })
        })
    }

    /// Announces a share of the step.
    pub(crate) fn percent(&self, percent: u8) {
        (self.progress)(Event::Percent {
            part: self.part.name(),
            percent,
        });
    }

    /// Where another part's result lies.
    pub(crate) fn input(&self, part: Part) -> Result<&Path> {
        self.inputs
            .get(&part)
            .map(PathBuf::as_path)
            .ok_or_else(|| Error::Recipe {
                file: self.part.name().to_owned(),
                reason: format!("reads {} without naming it as an input", part.name()),
            })
    }

    /// Unpacks the Debian tree, or only what `members` name, and says where.
    pub(crate) fn debian_tree(&self, members: &[&str]) -> Result<PathBuf> {
        let root = self.work.join("root");
        fs::create_dir_all(&root).map_err(Error::file("create", &root))?;
        let archive = self.input(Part::Debian)?.join(DEBIAN_TREE);
        let tar = Run::new("tar")
            .args([
                "--zstd",
                "--numeric-owner",
                "--xattrs",
                "--xattrs-include=*",
                "-C",
            ])
            .arg(&root);
        self.run(tar.arg("-xpf").arg(archive).args(members))?;
        Ok(root)
    }
}
