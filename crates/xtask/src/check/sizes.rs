//! Sizes: a file holds one concept. 500 lines need a reason, 800 have none. Tests do not count.

use super::finding::Finding;
use super::sources::Sources;

const NEEDS_REASON: usize = 500;
const STOP: usize = 800;
const LIB: usize = 80;

pub(super) fn check(sources: &Sources) -> Sizes {
    let mut sizes = Sizes::default();
    for source in &sources.0 {
        let path = source.path.display().to_string();
        let lines = source.text.trim_end().lines().count();
        if path.ends_with("src/lib.rs") && lines > LIB {
            let text = format!("{lines} lines: lib.rs is docs, `mod` and `pub use`, {LIB} lines at most");
            sizes.fixed.push(Finding::new(&path, text));
        }
        if lines > STOP {
            let text = format!("{lines} lines: more than {STOP}, split it by concept");
            sizes.fixed.push(Finding::new(&path, text));
        } else if lines > NEEDS_REASON {
            let text = format!(
                "{lines} lines: more than {NEEDS_REASON}, split it by concept or give a reason in \
                 crates/xtask/exemptions.toml"
            );
            sizes.exemptible.push((path.clone(), Finding::new(path, text)));
        }
    }
    sizes
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    /// What no exemption helps.
    pub(super) fixed: Vec<Finding>,
    /// What an exemption may allow, by path.
    pub(super) exemptible: Vec<(String, Finding)>,
}

#[cfg(test)]
mod tests {
    use super::super::sources::Source;
    use super::*;

    fn sizes(path: &str, lines: usize) -> (usize, usize) {
        let text = "// x\n".repeat(lines);
        let found = check(&Sources(vec![Source::new(path, &text)]));
        (found.fixed.len(), found.exemptible.len())
    }

    #[test]
    fn limits_are_inclusive() {
        assert_eq!(sizes("crates/a/src/b.rs", 500), (0, 0));
        assert_eq!(sizes("crates/a/src/b.rs", 501), (0, 1));
        assert_eq!(sizes("crates/a/src/b.rs", 800), (0, 1));
        assert_eq!(sizes("crates/a/src/b.rs", 801), (1, 0));
        assert_eq!(sizes("crates/a/src/lib.rs", 80), (0, 0));
        assert_eq!(sizes("crates/a/src/lib.rs", 81), (1, 0));
    }

    #[test]
    fn tests_do_not_count() {
        let text = format!(
            "fn a() {{}}\n#[cfg(test)]\nmod tests {{\n{}}}\n",
            "    // x\n".repeat(900)
        );
        let found = check(&Sources(vec![Source::new("crates/a/src/b.rs", &text)]));
        assert!(found.fixed.is_empty() && found.exemptible.is_empty());
    }
}
