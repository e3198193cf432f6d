//! The shortest circles in what files refer to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};

/// File -> the files that it refers to, each with the item that ties.
pub(super) type References = BTreeMap<PathBuf, BTreeMap<PathBuf, String>>;

/// Files of which each refers to the next, and the last to the first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Circle {
    /// Each file, with the item of the next one that it names.
    files: Vec<(PathBuf, String)>,
}

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let next = self.files.iter().cycle().skip(1);
        for (index, ((file, item), (next, _))) in self.files.iter().zip(next).enumerate() {
            if index == 0 {
                write!(f, "{}", file.display())?;
            }
            write!(f, " → {} ({item})", next.display())?;
        }
        Ok(())
    }
}

/// Circles that share no file, the shortest first. Empty only if there is no circle at all.
pub(super) fn disjoint(references: &References) -> Vec<Circle> {
    let mut circles: Vec<Circle> = references
        .keys()
        .filter_map(|file| shortest(references, file))
        .collect();
    circles.sort_by(|a, b| a.files.len().cmp(&b.files.len()).then_with(|| a.cmp(b)));
    let mut taken = BTreeSet::new();
    circles.retain(|circle| {
        let free = circle.files.iter().all(|(file, _)| !taken.contains(file));
        if free {
            taken.extend(circle.files.iter().map(|(file, _)| file.clone()));
        }
        free
    });
    circles
}

/// The shortest circle through a file, by a search in breadth.
fn shortest(references: &References, start: &Path) -> Option<Circle> {
    let mut came_from: BTreeMap<&Path, &Path> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(file) = queue.pop_front() {
        for next in references
            .get(file)?
            .keys()
            .filter(|next| references.contains_key(*next))
        {
            if next == start {
                return Some(Circle::back(references, &came_from, start, file));
            }
            if !came_from.contains_key(next.as_path()) {
                came_from.insert(next, file);
                queue.push_back(next);
            }
        }
    }
    None
}

impl Circle {
    /// Goes back from the last file to the first one.
    fn back(
        references: &References,
        came_from: &BTreeMap<&Path, &Path>,
        first: &Path,
        last: &Path,
    ) -> Circle {
        let mut files = Vec::new();
        let (mut file, mut next) = (last, first);
        loop {
            files.push((file.to_owned(), references[file][next].clone()));
            if file == first {
                break;
            }
            (file, next) = (came_from[file], file);
        }
        files.reverse();
        Circle { files }
    }
}
