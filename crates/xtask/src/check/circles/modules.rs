//! The modules of one program or library: what each defines, imports and names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::TokenStream;

use super::items::{Import, Item, items};
use super::names::Names;

/// The modules; the first one is the root.
#[derive(Debug, Default)]
pub(super) struct Modules(pub(super) Vec<Module>);

/// A module, be it a file or a block in one.
#[derive(Debug, Default)]
pub(super) struct Module {
    /// The file it is written in.
    pub(super) file: PathBuf,
    /// Index of the module above; the root is its own parent.
    pub(super) parent: usize,
    /// Name -> index of the modules declared in it.
    pub(super) children: BTreeMap<String, usize>,
    /// Names of the items defined in it, other than modules.
    pub(super) definitions: BTreeSet<String>,
    /// What its `use` items bring into scope.
    pub(super) imports: Vec<Import>,
    /// Paths in its code.
    pub(super) paths: BTreeSet<Vec<String>>,
}

/// File -> what is in it.
pub(super) type Files = BTreeMap<PathBuf, TokenStream>;

impl Modules {
    /// Reads the module in `root`, and those below it.
    pub(super) fn of(root: &Path, files: &Files) -> syn::Result<Modules> {
        let mut modules = Modules::default();
        if let Some(tokens) = files.get(root) {
            let folder = root.parent().unwrap_or(Path::new(""));
            modules.add(0, root, folder, tokens.clone(), files)?;
        }
        Ok(modules)
    }

    /// Adds a module with those below it, and returns its index. `folder` is where the files of its modules are.
    fn add(
        &mut self,
        parent: usize,
        path: &Path,
        folder: &Path,
        tokens: TokenStream,
        files: &Files,
    ) -> syn::Result<usize> {
        let index = self.0.len();
        self.0.push(Module::default());
        let mut module = Module {
            file: path.to_owned(),
            parent,
            ..Module::default()
        };
        let mut names = Names::default();
        for item in items(tokens)? {
            match item {
                Item::Imports(imports) => module.imports.extend(imports),
                Item::Code(defined, tokens) => {
                    module.definitions.extend(defined);
                    names.add(tokens)?;
                }
                Item::Module(name, body) => {
                    let folder = folder.join(&name);
                    let file = folder.with_extension("rs");
                    let child = match (body, files.get(&file)) {
                        (Some(tokens), _) => self.add(index, path, &folder, tokens, files)?,
                        (None, Some(tokens)) => self.add(index, &file, &folder, tokens.clone(), files)?,
                        (None, None) => continue,
                    };
                    module.children.insert(name, child);
                }
            }
        }
        module.imports.extend(names.imports);
        module.paths = names.paths;
        self.0[index] = module;
        Ok(index)
    }
}
