//! Names: what has no name has no home. No drawers for everything, no numbered siblings, no `mod.rs`; and no
//! reminders in comments, which nobody reads again.

use super::finding::Finding;
use super::sources::{Source, Sources};

const DRAWERS: [&str; 7] = ["utils", "util", "common", "helpers", "helper", "misc", "stuff"];
const SIBLINGS: [&str; 3] = ["_more", "_part", "_rest"];
const REMINDERS: [&str; 3] = ["TODO", "FIXME", "XXX"];

pub(super) fn check(sources: &Sources) -> Vec<Finding> {
    sources
        .0
        .iter()
        .flat_map(|source| of_path(source).into_iter().chain(reminders(source)))
        .collect()
}

fn of_path(source: &Source) -> Option<Finding> {
    let path = source.path.display().to_string();
    let stem = source.path.file_stem()?.to_str()?;
    let mut names = source
        .path
        .iter()
        .filter_map(|part| part.to_str())
        .map(|part| part.trim_end_matches(".rs"));
    if stem == "mod" {
        return Some(Finding::new(path, "no mod.rs: name the file after its folder"));
    }
    if let Some(name) = names.find(|name| DRAWERS.contains(name)) {
        return Some(Finding::new(
            path,
            format!("`{name}` is no name: say what it owns"),
        ));
    }
    let numbered = stem
        .rsplit_once('_')
        .is_some_and(|(_, end)| end.parse::<u32>().is_ok());
    if numbered || SIBLINGS.iter().any(|end| stem.ends_with(end)) {
        return Some(Finding::new(path, "split by concept, not by number or remainder"));
    }
    None
}

fn reminders(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().zip(source.code.lines()).enumerate();
    lines
        .filter_map(|(number, (text, code))| {
            // What the code does not hold stands in a comment or a literal; only comments matter here.
            let comment = text.split_once("//").map(|(_, comment)| comment)?;
            let word = REMINDERS
                .iter()
                .find(|word| comment.contains(**word) && !code.contains(**word))?;
            (!text.contains('"')).then(|| {
                Finding::new(
                    source.place(number),
                    format!("{word}: do it, or open an issue and say why it waits"),
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&Sources(vec![Source::new(path, text)])).len()
    }

    #[test]
    fn good_names_pass() {
        for path in [
            "crates/a/src/lease.rs",
            "crates/a/src/sha256.rs",
            "crates/a/src/part.rs",
        ] {
            assert_eq!(found(path, "fn a() {}\n"), 0, "{path}");
        }
    }

    #[test]
    fn bad_names_are_found() {
        let bad = [
            "utils.rs",
            "common/x.rs",
            "misc.rs",
            "engine/mod.rs",
            "lease_2.rs",
            "lease_more.rs",
        ];
        for path in bad {
            assert_eq!(found(&format!("crates/a/src/{path}"), "fn a() {}\n"), 1, "{path}");
        }
    }

    #[test]
    fn reminders_in_comments_are_found() {
        assert_eq!(found("crates/a/src/x.rs", "fn a() {} // TODO later\n"), 1);
        assert_eq!(found("crates/a/src/x.rs", "let a = \"TODO // TODO\";\n"), 0);
    }
}
