//! What a program says, held against what it should say.

use anyhow::ensure;

/// Every part stands in the text.
pub(crate) fn says(text: &str, parts: &[&str]) -> anyhow::Result<()> {
    let lacks: Vec<&&str> = parts.iter().filter(|part| !text.contains(**part)).collect();
    ensure!(lacks.is_empty(), "{lacks:?} is missing in: {text}");
    Ok(())
}
