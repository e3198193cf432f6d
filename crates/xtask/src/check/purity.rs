//! Purity: what decides (`engine`, `plan`, `states`) takes bytes or snapshots and the time, and returns values.
//! No runtime, no files, no sockets, no processes, no clock.

use std::path::Path;

use super::finding::Finding;
use super::sources::{Source, Sources};

const PURE: [&str; 3] = ["engine", "plan", "states"];

/// Words that mean an effect, with what to do instead.
const EFFECTS: [(&str, &str); 16] = [
    ("tokio", "async belongs to the shell"),
    ("std::fs", "files belong to the shell"),
    ("std::process", "processes belong to the shell"),
    ("std::thread", "threads belong to the shell"),
    ("std::env", "take the value as an argument"),
    ("TcpStream", "sockets belong to the shell"),
    ("TcpListener", "sockets belong to the shell"),
    ("UdpSocket", "sockets belong to the shell"),
    ("UnixStream", "sockets belong to the shell"),
    ("ToSocketAddrs", "name lookups belong to the shell"),
    ("Instant::now", "take the time as an argument"),
    ("SystemTime::now", "take the time as an argument"),
    ("Timestamp::now", "take the time as an argument"),
    ("Zoned::now", "take the time as an argument"),
    ("rand::rng", "take randomness as an argument"),
    ("reqwest", "network belongs to the shell"),
];

/// Modules of `std` that may hide in a group: `use std::{fs, io}`.
const GROUPED: [&str; 4] = ["fs", "process", "thread", "env"];

pub(super) fn check(sources: &Sources) -> Vec<(String, Finding)> {
    let pure = sources.0.iter().filter(|source| is_pure(&source.path));
    pure.flat_map(|source| {
        effects(source)
            .into_iter()
            .map(|finding| (source.path.display().to_string(), finding))
    })
    .collect()
}

fn is_pure(path: &Path) -> bool {
    let inside_src = path.iter().skip_while(|part| *part != "src").skip(1);
    inside_src
        .filter_map(|part| part.to_str())
        .any(|part| PURE.contains(&part.trim_end_matches(".rs")))
}

fn effects(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in source.code.lines().enumerate() {
        for (word, instead) in EFFECTS {
            if has_word(line, word) {
                findings.push(Finding::new(
                    source.place(number),
                    format!("`{word}` in a pure module: {instead}"),
                ));
            }
        }
        if line.contains(".elapsed()") {
            findings.push(Finding::new(
                source.place(number),
                "`.elapsed()` reads a clock: subtract from `now`",
            ));
        }
        if let Some((_, group)) = line.split_once("use std::{") {
            let names = group.split([',', '}', ':']).map(str::trim);
            for name in names.filter(|name| GROUPED.contains(name)) {
                findings.push(Finding::new(
                    source.place(number),
                    format!("`std::{name}` in a pure module"),
                ));
            }
        }
    }
    findings
}

/// Whether the word stands in the line, not as a part of another word.
fn has_word(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let sources = Sources(vec![Source::new(path, text)]);
        check(&sources)
            .into_iter()
            .map(|(_, finding)| finding.to_string())
            .collect()
    }

    #[test]
    fn values_are_fine() {
        let text =
            "use std::net::Ipv4Addr;\nuse std::time::Duration;\nfn instant_of(now: Timestamp) {}\n// tokio\n";
        assert_eq!(
            found("crates/dhcp/src/engine/answer.rs", text),
            Vec::<String>::new()
        );
    }

    #[test]
    fn every_effect_is_found() {
        for (word, _) in EFFECTS {
            let text = format!("fn f() {{ {word}(); }}");
            assert_eq!(found("crates/dhcp/src/engine.rs", &text).len(), 1, "{word}");
        }
    }

    #[test]
    fn grouped_imports_are_found() {
        let lines = found("crates/clusters/src/plan/x.rs", "use std::{fmt, fs};\n");
        assert_eq!(
            lines,
            ["crates/clusters/src/plan/x.rs:1: `std::fs` in a pure module"]
        );
    }

    #[test]
    fn the_shell_and_the_tests_may_do_anything() {
        assert!(found("crates/dhcp/src/server/socket.rs", "use tokio::net::UdpSocket;").is_empty());
        let text = "#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
        assert!(found("crates/dhcp/src/states/running.rs", text).is_empty());
    }
}
