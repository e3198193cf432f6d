//! What a driver has written to its standard error: the newest lines, for people.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Lines that are kept.
const LINES: usize = 1000;
/// Longest line in bytes; what is longer is cut.
const LONGEST: usize = 8 * 1024;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Number of the line since the supervisor began, from 1.
    pub number: u64,
    /// When it was read.
    pub at: Timestamp,
    /// `debug`, `info`, `warn` or `error`; `info` for lines that are no JSON.
    pub level: String,
    /// The text without level.
    pub message: String,
}

/// The newest lines of a driver, over all its processes.
#[derive(Debug, Default)]
pub struct DriverLog {
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<LogLine>,
    last: u64,
}

impl DriverLog {
    /// Lines with a higher number than `after`, the oldest first.
    #[must_use]
    pub fn after(&self, after: u64) -> Vec<LogLine> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = lines.kept.iter().filter(|line| line.number > after);
        newer.cloned().collect()
    }

    /// The last line, as people read it.
    #[must_use]
    pub fn last(&self) -> Option<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.kept.back().map(|line| line.message.clone())
    }

    /// Adds what the supervisor itself has to say.
    pub(super) fn note(&self, level: &str, message: impl Into<String>) {
        self.push(level.to_owned(), message.into());
    }

    fn push(&self, level: String, message: String) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.last = lines.last.saturating_add(1);
        let number = lines.last;
        if lines.kept.len() == LINES {
            lines.kept.pop_front();
        }
        lines.kept.push_back(LogLine {
            number,
            at: Timestamp::now(),
            level,
            message,
        });
    }

    fn push_raw(&self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_end();
        if text.is_empty() {
            return;
        }
        let (level, message) = read_json(text).unwrap_or_else(|| ("info".to_owned(), printable(text)));
        self.push(level, message);
    }

    /// Reads lines until the end.
    pub(super) async fn read(&self, mut source: impl AsyncRead + Unpin) {
        let mut chunk = vec![0; LONGEST];
        let mut line = Vec::new();
        while let Ok(read) = source.read(&mut chunk).await {
            let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            for byte in bytes {
                if *byte == b'\n' {
                    self.push_raw(&line);
                    line.clear();
                } else if line.len() < LONGEST {
                    line.push(*byte);
                }
            }
        }
        self.push_raw(&line);
    }
}

/// Level and text of a line of JSON; further fields follow the text.
fn read_json(text: &str) -> Option<(String, String)> {
    let mut object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    let level = object.remove("level")?.as_str()?.to_lowercase();
    let message = object.remove("message")?;
    object.remove("timestamp");
    let mut text = message.as_str()?.to_owned();
    for (name, value) in &object {
        match value {
            serde_json::Value::String(value) => text.push_str(&format!(" {name}={value}")),
            value => text.push_str(&format!(" {name}={value}")),
        }
    }
    Some((level, printable(&text)))
}

/// Without what a terminal would act on.
fn printable(text: &str) -> String {
    let safe = |letter: char| if letter.is_control() { ' ' } else { letter };
    text.chars().map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::{DriverLog, LINES, LONGEST};

    #[tokio::test]
    async fn lines_are_read_whatever_they_are() {
        let log = DriverLog::default();
        let long = "x".repeat(LONGEST + 7);
        let text = format!(
            "{{\"level\":\"WARN\",\"message\":\"slow\",\"peer\":\"a\",\"ms\":7}}\nplain \x1b[31mred\n\n{long}\nlast"
        );
        let mut bytes = text.into_bytes();
        bytes.push(0xff);
        log.read(bytes.as_slice()).await;
        let lines = log.after(0);
        let texts: Vec<&str> = lines.iter().map(|line| line.message.as_str()).collect();
        assert_eq!(texts[0], "slow ms=7 peer=a");
        assert_eq!(lines[0].level, "warn");
        assert_eq!(texts[1], "plain  [31mred");
        assert_eq!(texts[2].len(), LONGEST);
        assert_eq!(texts[3], "last\u{fffd}");
        assert_eq!(log.after(3).len(), 1);
    }

    #[tokio::test]
    async fn old_lines_give_way() {
        let log = DriverLog::default();
        log.read("a\n".repeat(LINES + 3).as_bytes()).await;
        let lines = log.after(0);
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines[0].number, 4);
    }
}
