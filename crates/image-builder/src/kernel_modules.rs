//! Chooses kernel modules: a list of names and folders, and what they depend on; the indexes for just these.
//! Pure: texts in, texts out.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};

/// The index files of `/lib/modules/VERSION`.
#[derive(Debug)]
pub(crate) struct Indexes<'a> {
    /// `modules.dep`.
    pub(crate) dep: &'a str,
    /// `modules.alias`.
    pub(crate) alias: &'a str,
    /// `modules.softdep`.
    pub(crate) softdep: &'a str,
    /// `modules.builtin`.
    pub(crate) builtin: &'a str,
}

/// What goes into the installer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Files as they are in the tree (`kernel/fs/ext4/ext4.ko.xz`).
    pub(crate) files: Vec<String>,
    /// `modules.dep` with the names after decompression.
    pub(crate) dep: String,
    /// Aliases of the chosen modules.
    pub(crate) alias: String,
    /// Soft dependencies of the chosen modules.
    pub(crate) softdep: String,
}

/// `a-b` and `a_b` are one module.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

/// `kernel/fs/ext4/ext4.ko.xz` without the compression.
pub(crate) fn decompressed(path: &str) -> &str {
    path.split_once(".ko")
        .map_or(path, |(stem, _)| path.get(..stem.len() + 3).unwrap_or(path))
}

/// Lines that are neither empty nor comments.
pub(crate) fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.lines()
        .map(|line| line.split('#').next().unwrap_or("").trim())
        .filter(|line| !line.is_empty())
}

/// Chooses what `list` names.
pub(crate) fn select(list: &str, indexes: &Indexes<'_>) -> Result<Selection> {
    let needs: BTreeMap<&str, Vec<&str>> = indexes
        .dep
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(path, needs)| (path, needs.split_whitespace().collect()))
        .collect();
    let by_name: BTreeMap<String, &str> = needs.keys().map(|path| (name_of(path), *path)).collect();
    let builtin: BTreeSet<String> = indexes.builtin.lines().map(name_of).collect();

    let mut chosen = BTreeSet::new();
    let mut open = Vec::new();
    for entry in entries(list) {
        let found: Vec<&str> = if entry.ends_with('/') {
            let folder = format!("kernel/{entry}");
            needs
                .keys()
                .copied()
                .filter(|path| path.starts_with(&folder))
                .collect()
        } else {
            by_name.get(&name_of(entry)).copied().into_iter().collect()
        };
        if found.is_empty() && !builtin.contains(&name_of(entry)) {
            return Err(Error::MissingInTree {
                what: format!("kernel module {entry}"),
                recipe: "installer/modules.list",
            });
        }
        open.extend(found);
    }
    while let Some(path) = open.pop() {
        if chosen.insert(path) {
            open.extend(needs.get(path).into_iter().flatten());
            open.extend(
                soft_needs(&name_of(path), indexes.softdep).filter_map(|name| by_name.get(&name).copied()),
            );
        }
    }
    let names: BTreeSet<String> = chosen.iter().map(|path| name_of(path)).collect();
    Ok(Selection {
        dep: chosen
            .iter()
            .map(|path| dep_line(path, needs.get(path).map_or(&[][..], Vec::as_slice)))
            .collect(),
        alias: lines_where(indexes.alias, |words| {
            words
                .last()
                .is_some_and(|module| names.contains(&name_of(module)))
        }),
        softdep: lines_where(indexes.softdep, |words| {
            words
                .get(1)
                .is_some_and(|module| names.contains(&name_of(module)))
        }),
        files: chosen.into_iter().map(str::to_owned).collect(),
    })
}

fn dep_line(path: &str, needs: &[&str]) -> String {
    let needs: String = needs
        .iter()
        .map(|need| format!(" {}", decompressed(need)))
        .collect();
    format!("{}:{needs}\n", decompressed(path))
}

/// `softdep NAME pre: a b post: c`: all of them, the loader decides when.
fn soft_needs<'a>(name: &'a str, softdep: &'a str) -> impl Iterator<Item = String> + 'a {
    let lines = softdep.lines().filter_map(|line| line.strip_prefix("softdep "));
    let own =
        lines.filter_map(move |line| line.split_once(' ').filter(|(module, _)| name_of(module) == name));
    own.flat_map(|(_, rest)| rest.split_whitespace())
        .filter(|word| !word.ends_with(':'))
        .map(name_of)
}

fn lines_where(text: &str, keep: impl Fn(&[&str]) -> bool) -> String {
    let kept = text
        .lines()
        .filter(|line| !line.starts_with('#') && keep(&line.split_whitespace().collect::<Vec<_>>()));
    kept.fold(String::new(), |text, line| text + line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEXES: Indexes<'_> = Indexes {
        dep: "kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz kernel/lib/crc16.ko.xz\n\
              kernel/fs/jbd2/jbd2.ko.xz:\nkernel/lib/crc16.ko.xz:\nkernel/lib/libcrc32c.ko.xz:\n\
              kernel/drivers/net/virtio_net.ko.xz: kernel/net/core/failover.ko.xz\nkernel/net/core/failover.ko.xz:\n\
              kernel/drivers/ata/ahci.ko.xz:\nkernel/drivers/ata/ata_piix.ko.xz:\nkernel/fs/xfs/xfs.ko.xz: kernel/lib/libcrc32c.ko.xz\n",
        alias: "# Aliases\nalias fs-ext4 ext4\nalias virtio:d00000001v* virtio_net\nalias pci:v0000A* ahci\nalias fs-xfs xfs\n",
        softdep: "# Soft\nsoftdep ext4 pre: libcrc32c\nsoftdep xfs pre: libcrc32c\n",
        builtin: "kernel/drivers/virtio/virtio_pci.ko\n",
    };

    #[test]
    fn dependencies_hard_and_soft_come_along_and_indexes_are_cut_down() {
        let selection = select("virtio-net # a card\next4\n\nvirtio_pci\n", &INDEXES).unwrap();
        assert_eq!(
            selection.files,
            [
                "kernel/drivers/net/virtio_net.ko.xz",
                "kernel/fs/ext4/ext4.ko.xz",
                "kernel/fs/jbd2/jbd2.ko.xz",
                "kernel/lib/crc16.ko.xz",
                "kernel/lib/libcrc32c.ko.xz",
                "kernel/net/core/failover.ko.xz",
            ]
        );
        assert!(
            selection
                .dep
                .contains("kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko kernel/lib/crc16.ko\n")
        );
        assert_eq!(
            selection.alias,
            "alias fs-ext4 ext4\nalias virtio:d00000001v* virtio_net\n"
        );
        assert_eq!(selection.softdep, "softdep ext4 pre: libcrc32c\n");
    }

    #[test]
    fn a_folder_means_all_below_it() {
        let selection = select("drivers/ata/", &INDEXES).unwrap();
        assert_eq!(
            selection.files,
            [
                "kernel/drivers/ata/ahci.ko.xz",
                "kernel/drivers/ata/ata_piix.ko.xz"
            ]
        );
    }

    #[test]
    fn a_name_that_the_kernel_does_not_have_is_an_error() {
        let error = select("nosuch", &INDEXES).unwrap_err().to_string();
        assert!(
            error.contains("nosuch") && error.contains("modules.list"),
            "{error}"
        );
    }
}
