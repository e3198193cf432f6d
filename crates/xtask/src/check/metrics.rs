//! Metrics: they are counted and described in the files `metrics.rs` alone, and every one that is counted is described there,
//! with its labels, so that the table of metrics in the documents is whole.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};

use super::finding::Finding;
use super::sources::{Source, Sources};

const FILE: &str = "metrics.rs";
const COUNTING: [&str; 3] = ["counter", "gauge", "histogram"];
const DESCRIBING: [&str; 3] = ["describe_counter", "describe_gauge", "describe_histogram"];

/// What a file says of metrics.
#[derive(Debug, Default)]
struct Metrics {
    /// Labels of each metric that is counted, by name.
    counted: BTreeMap<String, BTreeSet<String>>,
    /// The text of each description, by name.
    described: BTreeMap<String, String>,
}

pub(super) fn check(sources: &Sources) -> Vec<Finding> {
    sources.0.iter().flat_map(of_file).collect()
}

fn of_file(source: &Source) -> Vec<Finding> {
    let path = source.path.display().to_string();
    if !source.code.contains("metrics::") {
        return Vec::new();
    }
    let mut metrics = Metrics::default();
    let Ok(tokens) = source.text.parse::<TokenStream>() else {
        return vec![Finding::new(path, "its tokens cannot be read")];
    };
    metrics.collect(tokens);
    if metrics.counted.is_empty() && metrics.described.is_empty() {
        return Vec::new();
    }
    if source.path.file_name().is_none_or(|name| name != FILE) {
        let text = format!("counts or describes metrics: do it in a function of the crate's {FILE}");
        return vec![Finding::new(path, text)];
    }
    let texts = metrics.faults();
    texts
        .into_iter()
        .map(|text| Finding::new(path.clone(), text))
        .collect()
}

impl Metrics {
    fn collect(&mut self, tokens: TokenStream) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        for tree in &trees {
            if let TokenTree::Group(group) = tree {
                self.collect(group.stream());
            }
        }
        for call in trees.windows(3) {
            if let [
                TokenTree::Ident(name),
                TokenTree::Punct(mark),
                TokenTree::Group(arguments),
            ] = call
                && mark.as_char() == '!'
            {
                self.call(&name.to_string(), arguments.stream());
            }
        }
    }

    /// A call of a macro.
    fn call(&mut self, name: &str, arguments: TokenStream) {
        let arguments: Vec<TokenTree> = arguments.into_iter().collect();
        let metric = arguments.first().and_then(text).unwrap_or_default();
        if COUNTING.contains(&name) {
            let labels = arguments.windows(3).filter_map(|arguments| match arguments {
                [label, TokenTree::Punct(first), TokenTree::Punct(second)]
                    if (first.as_char(), second.as_char()) == ('=', '>') =>
                {
                    text(label)
                }
                _ => None,
            });
            let labels: Vec<String> = labels.collect();
            self.counted.entry(metric).or_default().extend(labels);
        } else if DESCRIBING.contains(&name) {
            let text = arguments.iter().filter_map(text).next_back();
            self.described.insert(metric, text.unwrap_or_default());
        }
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, labels) in &self.counted {
            let Some(text) = self.described.get(name) else {
                faults.push(format!("{name:?} is counted, and not described"));
                continue;
            };
            if !name.starts_with("gantry_") {
                faults.push(format!("{name:?} does not begin with gantry_"));
            }
            for label in labels
                .iter()
                .filter(|label| !text.contains(&format!("`{label}`")))
            {
                faults.push(format!(
                    "the description of {name:?} does not name its label `{label}`"
                ));
            }
        }
        let unused = self
            .described
            .keys()
            .filter(|name| !self.counted.contains_key(*name));
        faults.extend(unused.map(|name| format!("{name:?} is described, and never counted")));
        faults
    }
}

/// The value of a plain string literal.
fn text(tree: &TokenTree) -> Option<String> {
    let TokenTree::Literal(literal) = tree else {
        return None;
    };
    let literal = literal.to_string();
    let text = literal.strip_prefix('"')?.strip_suffix('"')?;
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let findings = check(&Sources(vec![Source::new(path, text)]));
        findings.iter().map(ToString::to_string).collect()
    }

    const GOOD: &str = r#"//! Docs.
        pub fn describe() { metrics::describe_counter!("gantry_a_total", Unit::Count, "As, by `kind`."); }
        fn a(kind: &'static str) { metrics::counter!("gantry_a_total", "kind" => kind).increment(1); }
    "#;

    #[test]
    fn what_is_counted_is_described_with_its_labels() {
        let file = "crates/a/src/metrics.rs";
        assert_eq!(found(file, GOOD), Vec::<String>::new());
        for (from, to, what) in [
            ("`kind`", "kind", "label `kind`"),
            (
                "::counter!(\"gantry_a_total\"",
                "::counter!(\"gantry_b_total\"",
                "not described",
            ),
            ("gantry_a_total", "a_total", "begin with gantry_"),
            (
                "metrics::counter!(\"gantry_a_total\", \"kind\" => kind).increment(1);",
                "",
                "never counted",
            ),
        ] {
            let findings = found(file, &GOOD.replace(from, to)).join("\n");
            assert!(findings.contains(what), "{from}: {findings}");
        }
    }

    #[test]
    fn other_files_do_not_count() {
        assert_eq!(found("crates/a/src/server.rs", GOOD).len(), 1);
        let calls = "//! Docs.\nfn a() { crate::metrics::refused(1); }\n";
        assert!(found("crates/a/src/server.rs", calls).is_empty());
    }
}
