//! Kernel modules: which one a device wants (`modules.alias`), what it needs (`modules.dep`, `modules.softdep`), and
//! loading them. The modules of the installer are not compressed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::modalias::glob;
use super::syscalls::finit_module;
use crate::Error;

/// What `depmod` found out, in memory.
#[derive(Debug, Default)]
pub struct ModuleIndex {
    /// Path and dependencies by name.
    modules: BTreeMap<String, (PathBuf, Vec<String>)>,
    /// Pattern and module, by what stands before the first colon.
    aliases: BTreeMap<String, Vec<(String, String)>>,
    /// Modules to be loaded before, if they are there.
    before: BTreeMap<String, Vec<String>>,
}

impl ModuleIndex {
    /// From the texts of `modules.dep`, `modules.alias` and `modules.softdep`.
    #[must_use]
    pub fn parse(dep: &str, alias: &str, softdep: &str) -> Self {
        let mut index = Self::default();
        for line in dep.lines() {
            let Some((path, needs)) = line.split_once(':') else {
                continue;
            };
            let needs = needs.split_whitespace().map(name_of).collect();
            index.modules.insert(name_of(path), (PathBuf::from(path), needs));
        }
        // The list names every module of the distribution; only those that are here count.
        for line in alias.lines() {
            let named = line.strip_prefix("alias ").and_then(|rest| rest.rsplit_once(' '));
            let Some((pattern, module)) = named else {
                continue;
            };
            let module = module.replace('-', "_");
            if index.modules.contains_key(&module) {
                let class = pattern.split_once(':').map_or("", |(class, _)| class);
                let entry = (pattern.trim().to_owned(), module);
                index.aliases.entry(class.to_owned()).or_default().push(entry);
            }
        }
        for line in softdep.lines() {
            let mut words = line.split_whitespace();
            let (Some("softdep"), Some(module)) = (words.next(), words.next()) else {
                continue;
            };
            let before = words
                .skip_while(|word| *word != "pre:")
                .skip(1)
                .take_while(|word| *word != "post:")
                .map(str::to_owned)
                .collect();
            index.before.insert(module.replace('-', "_"), before);
        }
        index
    }

    /// Modules that a modalias or a name stands for.
    #[must_use]
    pub fn resolve(&self, alias: &str) -> Vec<&str> {
        if let Some((name, _)) = self.modules.get_key_value(&alias.replace('-', "_")) {
            return vec![name];
        }
        let class = alias.split_once(':').map_or("", |(class, _)| class);
        let matching = self.aliases.get(class).into_iter().flatten();
        let mut found: Vec<&str> = matching
            .filter(|(pattern, _)| glob(pattern, alias))
            .filter_map(|(_, module)| self.modules.get_key_value(module).map(|(name, _)| name.as_str()))
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The module and all it needs, in the order of loading.
    #[must_use]
    pub fn load_order(&self, module: &str) -> Vec<&str> {
        let mut order = Vec::new();
        self.collect(module, &mut BTreeSet::new(), &mut order);
        order
    }

    fn collect<'a>(&'a self, module: &str, seen: &mut BTreeSet<&'a str>, order: &mut Vec<&'a str>) {
        let Some((name, (_, needs))) = self.modules.get_key_value(module) else {
            return;
        };
        if !seen.insert(name) {
            return;
        }
        let soft = self
            .before
            .get(name)
            .into_iter()
            .flatten()
            .flat_map(|alias| self.resolve(alias));
        for need in soft.chain(needs.iter().map(String::as_str)) {
            self.collect(need, seen, order);
        }
        order.push(name);
    }
}

/// `kernel/drivers/net/virtio_net.ko` is `virtio_net`.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

/// Loads modules from the directory of the running kernel.
#[derive(Debug)]
pub struct Modules {
    directory: PathBuf,
    index: ModuleIndex,
    /// What was tried, so that a module that does not load is tried once.
    tried: Mutex<BTreeSet<String>>,
}

impl Modules {
    /// Reads the index of `/lib/modules/<release>`; a kernel without modules has an empty one.
    #[must_use]
    pub fn of_running_kernel() -> Self {
        let release = nix::sys::utsname::uname()
            .map(|name| name.release().to_string_lossy().into_owned())
            .unwrap_or_default();
        let directory = Path::new("/lib/modules").join(release);
        let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
        Self {
            index: ModuleIndex::parse(
                &read("modules.dep"),
                &read("modules.alias"),
                &read("modules.softdep"),
            ),
            directory,
            tried: Mutex::default(),
        }
    }

    /// Loads what a modalias or a name stands for, and what that needs. Gives back the names of newly loaded modules;
    /// a module that the kernel refuses is left out, for another driver may serve the device.
    pub fn load(&self, alias: &str) -> Vec<String> {
        let mut loaded = Vec::new();
        for module in self.index.resolve(alias) {
            for name in self.index.load_order(module) {
                let new = self
                    .tried
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(name.to_owned());
                if new && self.insert(name).is_ok() {
                    loaded.push(name.to_owned());
                }
            }
        }
        loaded
    }

    fn insert(&self, name: &str) -> Result<(), Error> {
        let Some((path, _)) = self.index.modules.get(name) else {
            return Ok(());
        };
        let path = self.directory.join(path);
        let file = File::open(&path).map_err(Error::file(&path, "opening"))?;
        finit_module(&file).map_err(Error::file(&path, "loading"))
    }

    /// Loads a driver for every device that names one and does so again while new devices show up.
    pub fn load_for_devices(&self) -> Vec<String> {
        let mut all = Vec::new();
        let mut asked = BTreeSet::new();
        loop {
            let mut aliases = BTreeSet::new();
            collect_aliases(Path::new("/sys/devices"), 0, &mut aliases);
            let new: Vec<String> = aliases.difference(&asked).cloned().collect();
            if new.is_empty() {
                return all;
            }
            all.extend(new.iter().flat_map(|alias| self.load(alias)));
            asked.extend(new);
        }
    }
}

/// Contents of all files `modalias` below a directory of sysfs.
fn collect_aliases(directory: &Path, depth: usize, aliases: &mut BTreeSet<String>) {
    /// Deeper than any device sits; a guard against loops.
    const DEEPEST: usize = 24;
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() && depth < DEEPEST {
            collect_aliases(&entry.path(), depth + 1, aliases);
        } else if kind.is_file() && entry.file_name() == "modalias" {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            aliases.extend(Some(text.trim().to_owned()).filter(|alias| !alias.is_empty()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> ModuleIndex {
        ModuleIndex::parse(
            "kernel/drivers/virtio/virtio.ko:\nkernel/drivers/virtio/virtio_ring.ko: kernel/drivers/virtio/virtio.ko\n\
             kernel/drivers/net/virtio_net.ko: kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko\n\
             kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko\nkernel/fs/jbd2/jbd2.ko:\n\
             kernel/crypto/crc32c_generic.ko:\nkernel/drivers/usb/storage/usb-storage.ko:\n",
            "# comment\nalias virtio:d00000001v* virtio_net\nalias crypto-crc32c crc32c_generic\nalias crc32c crc32c_generic\n\
             alias pci:v*d*sv*sd*bc09* absent\n",
            "softdep ext4 pre: crc32c post: other\n",
        )
    }

    #[test]
    fn dependencies_come_first() {
        let index = index();
        assert_eq!(index.resolve("virtio:d00000001v00001AF4"), ["virtio_net"]);
        assert_eq!(
            index.load_order("virtio_net"),
            ["virtio", "virtio_ring", "virtio_net"]
        );
        assert_eq!(index.load_order("ext4"), ["crc32c_generic", "jbd2", "ext4"]);
        assert_eq!(index.resolve("usb-storage"), ["usb_storage"]);
        assert!(index.resolve("pci:v1d1sv1sd1bc09").is_empty());
        assert!(index.load_order("absent").is_empty());
    }
}
