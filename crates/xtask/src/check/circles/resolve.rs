//! From a name to the file with its definition: through modules, imports, re-exports and globs.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::modules::Modules;

/// An item, by where it is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Definition {
    pub(super) file: PathBuf,
    pub(super) name: String,
}

/// A search for one path. The paths tried end one that an import leads back to where it came from.
struct Search<'a> {
    modules: &'a Modules,
    tried: BTreeSet<(usize, Vec<String>)>,
    found: BTreeSet<Definition>,
}

impl Modules {
    /// Each file with each item of another file that it names.
    pub(super) fn references(&self) -> BTreeSet<(PathBuf, Definition)> {
        let mut references = BTreeSet::new();
        for (index, module) in self.0.iter().enumerate() {
            let imports = module.imports.iter().filter(|import| !import.public);
            for path in module.paths.iter().chain(imports.map(|import| &import.path)) {
                let definitions = self.definitions(index, path);
                let others = definitions.into_iter().filter(|item| item.file != module.file);
                references.extend(others.map(|item| (module.file.clone(), item)));
            }
        }
        references
    }

    /// What a path in a module stands for: none for a module, for another crate's item and for what a macro makes;
    /// several when a type and a function share the name.
    fn definitions(&self, module: usize, path: &[String]) -> BTreeSet<Definition> {
        let mut search = Search {
            modules: self,
            tried: BTreeSet::new(),
            found: BTreeSet::new(),
        };
        search.path(module, path);
        search.found
    }
}

impl Search<'_> {
    /// True if the path is known here.
    fn path(&mut self, at: usize, path: &[String]) -> bool {
        /// Longer ones come from an import that replaces a name by a path with the same name.
        const LONGEST: usize = 16;
        let [first, rest @ ..] = path else { return true };
        if path.len() > LONGEST || !self.tried.insert((at, path.to_vec())) {
            return false;
        }
        let module = &self.modules.0[at];
        match first.as_str() {
            "crate" => return self.path(0, rest),
            "self" => return self.path(at, rest),
            "super" => return self.path(module.parent, rest),
            _ => {}
        }
        let mut known = false;
        if let Some(child) = module.children.get(first) {
            known = self.path(*child, rest);
        }
        if module.definitions.contains(first) {
            let (file, name) = (module.file.clone(), first.clone());
            self.found.insert(Definition { file, name });
            known = true;
        }
        let named = module
            .imports
            .iter()
            .filter(|import| import.name.as_ref() == Some(first));
        for import in named {
            known |= self.path(at, &[&import.path, rest].concat());
        }
        if !known {
            for glob in module.imports.iter().filter(|import| import.name.is_none()) {
                known |= self.path(at, &[&glob.path, path].concat());
            }
        }
        known
    }
}
