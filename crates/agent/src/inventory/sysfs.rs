//! Files of sysfs.

use std::fs;
use std::path::Path;

/// A file of sysfs without blanks around; `None` when it is absent or empty.
pub(super) fn text(path: &Path) -> Option<String> {
    let raw = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&raw);
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}
