//! The bodies of reports, as they are kept. What a machine says of itself is text of anybody who has got into it: bounded,
//! without control characters, and without what looks like a secret. Pure.

use jiff::Timestamp;
use resources::gantry::FirstBootFailure;
use resources::{Time, printable};
use serde::Deserialize;

use super::secrets::without_secrets;

/// Most lines that are kept: the last ones.
const LINES: usize = 40;
/// Longest line that is kept, in characters.
const LINE: usize = 400;
/// Most bytes of all lines together.
const BYTES: usize = 8 << 10;
/// Longest name of a stage.
const NAME: usize = 40;

/// A report that can't be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Malformed {
    /// Not JSON of this form.
    #[error("the report can't be read: {0}")]
    Json(#[from] serde_json::Error),
    /// Its stage is no name.
    #[error("the stage of a report is 1 to {NAME} small letters, digits and hyphens")]
    Stage,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    stage: String,
    #[serde(default)]
    exit_status: Option<i32>,
    #[serde(default)]
    lines: Vec<String>,
}

impl Report {
    fn read(body: &[u8]) -> Result<Self, Malformed> {
        let report: Self = serde_json::from_slice(body)?;
        let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let name = &report.stage;
        let is_name = (1..=NAME).contains(&name.len()) && name.bytes().all(is_letter);
        is_name.then_some(report).ok_or(Malformed::Stage)
    }
}

/// The stage that begins.
pub(super) fn stage_name(body: &[u8]) -> Result<String, Malformed> {
    Ok(Report::read(body)?.stage)
}

/// The failure that is reported.
pub(super) fn failure(body: &[u8], now: Timestamp) -> Result<FirstBootFailure, Malformed> {
    let report = Report::read(body)?;
    Ok(FirstBootFailure {
        stage: report.stage,
        exit_status: report.exit_status,
        lines: kept(&report.lines),
        at: Time(now),
    })
}

fn kept(lines: &[String]) -> Vec<String> {
    // Secrets first: a key may take several lines, and cutting a token would hide what it is.
    let lines = lines.iter().flat_map(|line| line.lines());
    let lines = without_secrets(lines).into_iter().map(|line| {
        let line = printable(line.trim_end());
        line.chars().take(LINE).collect::<String>()
    });
    let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    let mut bytes = 0_usize;
    let fits = |line: &&String| {
        bytes = bytes.saturating_add(line.len());
        bytes <= BYTES
    };
    let mut last: Vec<String> = lines.iter().rev().take(LINES).take_while(fits).cloned().collect();
    last.reverse();
    last
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(lines: &[String]) -> Vec<String> {
        let body = json!({"stage": "kubeadm-join", "exitStatus": 1, "lines": lines}).to_string();
        failure(body.as_bytes(), Timestamp::UNIX_EPOCH).unwrap().lines
    }

    #[test]
    fn the_last_lines_within_the_bounds_are_kept() {
        let many: Vec<String> = (0..100).map(|number| format!("line {number}")).collect();
        let kept = lines(&many);
        assert_eq!(
            (kept.len(), kept[0].as_str(), kept[39].as_str()),
            (40, "line 60", "line 99")
        );
        // Two bytes each, so that a cut in the middle of one would show.
        let long = lines(&vec!["\u{e4}".repeat(1000); 40]);
        assert_eq!(long[0].chars().count(), 400);
        assert_eq!(long.len(), 8192 / 800);
    }

    #[test]
    fn control_characters_and_empty_lines_are_gone() {
        let kept = lines(&[
            "\u{1b}[31mred\u{1b}[0m".into(),
            " ".into(),
            "a\nb\r".into(),
            "\u{202e}x".into(),
        ]);
        assert_eq!(kept, ["\\u{1b}[31mred\\u{1b}[0m", "a", "b", "\\u{202e}x"]);
        assert!(kept.iter().all(|line| !line.chars().any(char::is_control)));
    }

    #[test]
    fn only_reports_with_a_stage_are_read() {
        for bad in [
            "",
            "[]",
            "{}",
            "{\"stage\": 7}",
            "{\"stage\": \"\"}",
            "{\"stage\": \"Two Words\"}",
            "{\"stage\": \"a/b\"}",
            "{\"stage\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}",
            "{\"stage\": \"a\", \"lines\": \"x\"}",
        ] {
            assert!(failure(bad.as_bytes(), Timestamp::UNIX_EPOCH).is_err(), "{bad}");
        }
        assert_eq!(
            stage_name(b"{\"stage\": \"kubeadm-join\"}").unwrap(),
            "kubeadm-join"
        );
    }
}
