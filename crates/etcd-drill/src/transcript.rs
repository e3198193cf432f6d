//! Why a program of etcd ended, from what it has said. Pure.

use serde::Deserialize;

/// Longest text that is passed on.
const LONGEST: usize = 500;

/// A line of the log of a server, as zap writes it.
#[derive(Deserialize)]
struct Line {
    level: String,
    msg: String,
    #[serde(default)]
    error: Option<String>,
}

impl Line {
    fn is_fatal(&self) -> bool {
        ["fatal", "panic"].contains(&self.level.as_str())
    }

    fn text(self) -> String {
        match self.error {
            Some(error) => format!("{}: {error}", self.msg),
            None => self.msg,
        }
    }
}

/// The reason in a log: what a program gave as the reason of its end, else the worst line of its log, else its last line.
pub(crate) fn reason(log: &str) -> String {
    let said = log.lines().find_map(|line| {
        let ends = ["Error: ", "panic: ", "fatal error: "];
        ends.iter().find_map(|mark| line.strip_prefix(mark))
    });
    let parsed = || {
        log.lines()
            .filter_map(|line| serde_json::from_str::<Line>(line).ok())
    };
    let logged = || {
        let errors = parsed().rfind(|line| line.level == "error");
        parsed().find(Line::is_fatal).or(errors).map(Line::text)
    };
    let last = || log.lines().map(str::trim).rfind(|line| !line.is_empty());
    let text = said.map(str::to_owned).or_else(logged);
    let text = text.or_else(|| last().map(str::to_owned));
    let text = text.unwrap_or_else(|| "it said nothing".to_owned());
    let short: String = resources::printable(&text)
        .to_string()
        .chars()
        .take(LONGEST)
        .collect();
    short.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_an_end_is_found_in_what_was_said() {
        let tool = "2026-11-30T09:47:32Z\tinfo\trestoring snapshot\nError: expected sha256 [1], got [2]\n";
        let server = concat!(
            r#"{"level":"warn","ts":"x","msg":"this host lacks memory"}"#,
            "\n",
            r#"{"level":"fatal","ts":"x","msg":"discovery failed","error":"listen tcp: address in use","stacktrace":"x"}"#,
            "\n",
        );
        let errors = concat!(
            r#"{"level":"error","msg":"first"}"#,
            "\n",
            r#"{"level":"error","msg":"second"}"#,
            "\n",
        );
        let cases = [
            ("", "it said nothing"),
            (tool, "expected sha256 [1], got [2]"),
            (server, "discovery failed: listen tcp: address in use"),
            (errors, "second"),
            (
                "panic: page 3: not aligned\n\ngoroutine 1 [running]:\nx\n",
                "page 3: not aligned",
            ),
            (
                "sh: 1: etcd: Permission denied\n\n",
                "sh: 1: etcd: Permission denied",
            ),
        ];
        for (log, expected) in cases {
            assert_eq!(reason(log), expected);
        }
        assert_eq!(reason(&"x".repeat(2000)).len(), LONGEST);
    }
}
