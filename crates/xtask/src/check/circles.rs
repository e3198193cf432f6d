//! Circles: inside a package, what a file refers to must not refer back to it. A file can then be read when those
//! below it are known, and is moved or split without its users.
//!
//! A file refers to another one when it names an item that is defined there: in a path, or in a `use` that is not
//! `pub`. Re-exports are followed to the definition, so neither `mod x;` nor `pub use` ties a file that only wires.
//! Tests do not count, and neither do methods: only names are looked at.

mod circle;
mod items;
mod modules;
mod names;
mod resolve;

use std::path::Path;
use std::str::FromStr;

use anyhow::Context;
use proc_macro2::TokenStream;

use super::finding::Finding;
use super::sources::Sources;
use crate::workspace::Workspace;
use circle::References;
use modules::{Files, Modules};

/// The circles, each with the folder of its package. Fails when a file is not Rust.
pub(super) fn check(workspace: &Workspace, sources: &Sources) -> anyhow::Result<Vec<(String, Finding)>> {
    let mut findings = Vec::new();
    for package in &workspace.packages {
        let folder = package
            .folder
            .strip_prefix(&workspace.root)
            .unwrap_or(&package.folder);
        let package = folder.display().to_string();
        for circle in circle::disjoint(&references(&folder.join("src"), sources)?) {
            let text = format!("circle of files: {circle}: move what ties them to a file of its own");
            findings.push((package.clone(), Finding::new(&package, text)));
        }
    }
    Ok(findings)
}

/// Which files in `src` refer to which; paths are relative to `src`.
fn references(src: &Path, sources: &Sources) -> anyhow::Result<References> {
    let mut files = Files::new();
    for source in &sources.0 {
        let Ok(path) = source.path.strip_prefix(src) else {
            continue;
        };
        let tokens = TokenStream::from_str(&source.whole).map_err(syn::Error::from);
        let tokens = tokens.with_context(|| source.path.display().to_string())?;
        files.insert(path.to_owned(), tokens);
    }
    let mut references = References::new();
    for root in files.keys().filter(|path| is_root(path)) {
        let modules = Modules::of(root, &files)?;
        for (file, definition) in modules.references() {
            references
                .entry(file)
                .or_default()
                .entry(definition.file)
                .or_insert(definition.name);
        }
    }
    Ok(references)
}

/// Whether a program or a library begins with this file.
fn is_root(path: &Path) -> bool {
    path == Path::new("lib.rs") || path == Path::new("main.rs") || path.parent() == Some(Path::new("bin"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::sources::Source;
    use super::*;
    use crate::workspace::Package;

    /// The circles of a package with these files in its `src`.
    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let package = Package {
            name: "a".to_owned(),
            folder: PathBuf::from("/w/crates/a"),
            ..Package::default()
        };
        let workspace = Workspace {
            root: PathBuf::from("/w"),
            packages: vec![package],
            ..Workspace::default()
        };
        let source = |(path, text): &(&str, &str)| Source::new(format!("crates/a/src/{path}"), text);
        let found = check(&workspace, &Sources(files.iter().map(source).collect())).unwrap();
        assert!(found.iter().all(|(package, _)| package == "crates/a"));
        let text = |finding: Finding| {
            let circle = finding.text.strip_prefix("circle of files: ").unwrap();
            circle.split_once(": move ").unwrap().0.to_owned()
        };
        found.into_iter().map(|(_, finding)| text(finding)).collect()
    }

    #[test]
    fn a_parent_and_a_child_that_uses_its_context() {
        let lib = ("lib.rs", "mod server;\n");
        let parent = "mod answer;\npub struct Context;\nfn serve() { answer::answer(); }\n";
        let ways = [
            "use super::Context;\npub fn answer() {}\n",
            "pub fn answer() { super::Context::new(); }\n",
            "pub fn answer() -> crate::server::Context {}\n",
            "use super as server;\npub fn answer() { let server::Context = x; }\n",
            "pub fn answer() { log!(\"{}\", x = super::Context { y: 1 }); }\n",
            "use super::*;\npub fn answer() -> Vec<Context> {}\n",
            "pub(crate) const fn answer() { use crate::{Other, server::{self, Context}}; }\n",
            "pub fn answer() {}\ntype Boxed = Box<dyn Fn(super::Context) -> [u8; 2]>;\n",
            "pub fn answer() {}\n#[derive(Debug)]\n#[clap(parser = super::Context)]\nstruct Answer;\n",
            "pub fn answer() {}\nmacro_rules! context { () => { $crate::server::Context } }\n",
            "mod inner {\n    impl From<u8> for super::super::Context {}\n}\npub fn answer() {}\n",
        ];
        for child in ways {
            assert_eq!(
                circles(&[lib, ("server.rs", parent), ("server/answer.rs", child)]),
                ["server/answer.rs → server.rs (Context) → server/answer.rs (answer)"],
                "{child}"
            );
        }
    }

    #[test]
    fn a_context_in_its_own_file_ties_nothing() {
        let files = [
            ("main.rs", "mod server;\nfn main() { server::serve(); }\n"),
            (
                "server.rs",
                "mod answer;\nmod context;\npub use context::Context;\npub fn serve() { answer::answer(); }\n",
            ),
            (
                "server/answer.rs",
                "use super::Context;\npub(super) fn answer() {}\n",
            ),
            ("server/context.rs", "pub struct Context;\n"),
        ];
        assert_eq!(circles(&files), [""; 0]);
    }

    #[test]
    fn three_files_and_only_the_shortest_circle_of_those_that_share_a_file() {
        let files = [
            ("lib.rs", "mod a;\nmod b;\nmod c;\nmod d;\n"),
            ("a.rs", "use crate::b::B;\npub struct A;\n"),
            ("b.rs", "use crate::c::C;\npub struct B;\n"),
            ("c.rs", "use crate::a::A;\npub struct C;\n"),
        ];
        let three = ["a.rs → b.rs (B) → c.rs (C) → a.rs (A)"];
        assert_eq!(circles(&files), three);
        let longer = ("d.rs", "use crate::a::A;\nuse crate::b::B;\npub struct D;\n");
        let tied = ("c.rs", "use crate::a::A;\nuse crate::d::D;\npub struct C;\n");
        assert_eq!(circles(&[files[0], files[1], files[2], tied, longer]), three);
    }

    #[test]
    fn tests_do_not_count() {
        let files = [
            ("lib.rs", "mod a;\nmod b;\n"),
            ("a.rs", "pub fn a() { crate::b::b(); }\n"),
            (
                "b.rs",
                "pub fn b() {}\n#[cfg(test)]\nmod tests {\n    use crate::a::a;\n}\n#[cfg(test)]\nuse crate::a::a;\n",
            ),
        ];
        assert_eq!(circles(&files), [""; 0]);
    }

    #[test]
    fn a_re_export_is_followed_to_the_definition() {
        let files = [
            ("lib.rs", "mod a;\nmod face;\npub use face::*;\n"),
            ("face.rs", "mod b;\npub use b::{B, B as Renamed};\n"),
            ("face/b.rs", "use crate::a::A;\npub struct B;\n"),
            ("a.rs", "pub struct A;\nuse crate::Renamed;\n"),
        ];
        assert_eq!(circles(&files), ["a.rs → face/b.rs (B) → a.rs (A)"]);
    }

    #[test]
    fn a_re_export_that_is_used_ties() {
        let child = ("a/b.rs", "use super::A;\npub struct B;\n");
        let with = |parent| circles(&[("lib.rs", "mod a;\n"), ("a.rs", parent), child]);
        assert_eq!(with("mod b;\npub use b::B;\npub struct A;\n"), [""; 0]);
        assert_eq!(
            with("mod b;\npub use b::B;\npub struct A;\nfn f(b: &B) {}\n").len(),
            1
        );
    }

    #[test]
    fn names_of_others_tie_nothing() {
        let files = [
            ("lib.rs", "mod a;\nmod b;\n"),
            (
                "a.rs",
                "use super::b::*;\npub struct A;\nfn f() { x.b(); let y = vec![b]; std::b::b(); Vec::new(); }\n",
            ),
            (
                "b.rs",
                "use a::c::A as Other;\nuse super::a;\nuse super::a::A;\npub fn b() {}\n",
            ),
        ];
        assert_eq!(circles(&files), [""; 0]);
    }

    #[test]
    fn a_file_that_is_not_rust_is_named() {
        let workspace = Workspace {
            packages: vec![Package::default()],
            ..Workspace::default()
        };
        let error = check(&workspace, &Sources(vec![Source::new("src/lib.rs", "fn (")])).unwrap_err();
        assert_eq!(error.to_string(), "src/lib.rs");
    }
}
