//! What a pod said last, short enough for a status.

/// Characters that are kept.
const KEPT: usize = 600;

/// The end of a text of several lines, in one.
pub(super) fn last_words(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let line = lines.join("; ");
    let text = resources::printable(&line);
    let skipped = text.chars().count().saturating_sub(KEPT);
    text.chars().skip(skipped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_text_the_end_is_kept() {
        let text = last_words(&format!("{}the reason", "x".repeat(4000)));
        assert_eq!(text.chars().count(), KEPT);
        assert!(text.ends_with("the reason"), "{text}");
    }
}
