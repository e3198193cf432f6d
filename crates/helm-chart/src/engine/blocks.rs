//! Blocks that nobody ends: the parser takes the end of the text for theirs, where Go refuses the template.

const OPEN: [&str; 5] = ["if", "range", "with", "define", "block"];

/// Keyword and line of the innermost block without an `end`.
pub(super) fn unended(text: &str) -> Option<(String, usize)> {
    let mut open: Vec<(String, usize)> = Vec::new();
    let mut rest = text;
    while let Some((_, action)) = rest.split_once("{{") {
        let line = text[..text.len() - action.len()].matches('\n').count() + 1;
        let inner = action.strip_prefix("- ").unwrap_or(action).trim_start();
        if let Some(comment) = inner.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, after)| after);
            continue;
        }
        let word: String = inner.chars().take_while(|sign| sign.is_alphanumeric()).collect();
        if OPEN.contains(&word.as_str()) {
            open.push((word, line));
        } else if word == "end" {
            open.pop();
        }
        rest = after_action(inner);
    }
    open.pop()
}

/// What follows the `}}` of an action; braces in strings do not count.
fn after_action(action: &str) -> &str {
    let mut quote = None;
    let mut is_escaped = false;
    for (at, sign) in action.char_indices() {
        match quote {
            None if action[at..].starts_with("}}") => return &action[at + 2..],
            None if matches!(sign, '"' | '`' | '\'') => quote = Some(sign),
            Some(open) if sign == open && !is_escaped => quote = None,
            _ => {}
        }
        is_escaped = sign == '\\' && !is_escaped && quote != Some('`');
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_need_their_end() {
        for text in [
            "{{ if a }}{{ else if b }}{{ end }}",
            "{{- range . -}}{{ \"}} {{ if }}\" }}{{ end }}",
            "{{/* {{ if }} */}}{{ `{{ if }}` }}",
            "{{ define \"a\" }}\n{{ with . }}{{ end }}{{ end }} }} text",
        ] {
            assert_eq!(unended(text), None, "{text}");
        }
        assert_eq!(unended("\n{{ if a }}"), Some(("if".to_owned(), 2)));
        assert_eq!(
            unended("{{- with a }}\n{{ if b }}{{ end }}"),
            Some(("with".to_owned(), 1))
        );
    }
}
