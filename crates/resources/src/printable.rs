//! Text that came from the network, made safe for records, logs and terminals.

use std::borrow::Cow;

/// The text with every character that a terminal or a reader could take for something else written as an escape, such
/// as `\u{1b}`: control characters except tab, line and paragraph separators, and what changes the direction of text
/// or has no width.
///
/// Everything that a client, an agent or a BMC says goes through here before it is kept or shown.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(hidden) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len().saturating_add(16));
    for character in text.chars() {
        if hidden(character) {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

const fn hidden(character: char) -> bool {
    match character {
        '\t' => false,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => true,
        // Unicode's bidirectional and zero-width formatting characters.
        '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hidden_is_left() {
        for (text, expected) in [
            ("snponly.efi: 10 bytes", "snponly.efi: 10 bytes"),
            ("Zürich\tnode", "Zürich\tnode"),
            ("\u{1b}[2J\u{1b}]0;title\u{7}", r"\u{1b}[2J\u{1b}]0;title\u{7}"),
            ("two\r\nlines", r"two\r\nlines"),
            ("\u{9b}31m\u{7f}\0", r"\u{9b}31m\u{7f}\u{0}"),
            ("a\u{202e}b\u{2028}c\u{feff}", r"a\u{202e}b\u{2028}c\u{feff}"),
        ] {
            assert_eq!(printable(text), expected, "{text:?}");
        }
        assert!(matches!(printable("plain"), Cow::Borrowed(_)));
    }
}
