//! Just enough of Rust's lexical rules to tell code from comments, strings and test modules.

/// The text with every comment and every literal replaced by blanks; lines and columns stay.
pub(super) fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skipped(&chars, at);
        if end > at {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

/// The lines with those of test modules (`#[cfg(test)] mod x { ... }` at the left edge) made empty.
pub(super) fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut marked = false;
    let mut inside = false;
    for line in code.lines() {
        if inside {
            inside = line != "}";
        } else if marked && line.starts_with("mod ") && line.trim_end().ends_with('{') {
            inside = true;
        } else {
            marked = line.trim_end() == "#[cfg(test)]";
            out.push_str(line);
        }
        out.push('\n');
    }
    out
}

/// Where the comment or literal that starts at `at` ends; `at` itself when none starts there.
fn skipped(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => until(chars, at, |rest| rest[0] == '\n'),
        '/' if next == Some('*') => block_comment(chars, at),
        '"' => string_end(chars, at + 1),
        'r' if !part_of_word(chars, at) => raw_string_end(chars, at),
        '\'' if next == Some('\\') => until(chars, at + 3, |rest| rest[0] == '\'') + 1,
        '\'' if chars.get(at + 2) == Some(&'\'') => at + 3,
        _ => at,
    }
}

fn part_of_word(chars: &[char], at: usize) -> bool {
    let before = at.checked_sub(1).map(|i| chars[i]);
    before.is_some_and(|c| (c.is_alphanumeric() && c != 'b') || c == '_')
}

fn until(chars: &[char], from: usize, ends: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len())
        .find(|i| ends(&chars[*i..]))
        .unwrap_or(chars.len())
}

fn block_comment(chars: &[char], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut i = at;
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    chars.len()
}

fn string_end(chars: &[char], from: usize) -> usize {
    let mut i = from;
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

fn raw_string_end(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    if chars.get(at + 1 + hashes) != Some(&'"') {
        return at;
    }
    let start = at + 2 + hashes;
    let closes =
        |rest: &[char]| rest[0] == '"' && rest.len() > hashes && rest[1..=hashes].iter().all(|c| *c == '#');
    (until(chars, start, closes) + 1 + hashes).min(chars.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_become_blanks() {
        let code =
            code_only("let a = \"tokio\"; // tokio\nlet b = r#\"tokio\"#; /* /* tokio */ */ let c = '\"';\n");
        assert!(!code.contains("tokio"), "{code}");
        assert!(code.contains("let c ="), "{code}");
        assert_eq!(code.lines().count(), 2);
    }

    #[test]
    fn lifetimes_are_no_literals() {
        let code = code_only("fn f<'a>(x: &'a str) -> &'a str { tokio(x) }");
        assert!(code.contains("tokio"), "{code}");
    }

    #[test]
    fn escaped_quotes_do_not_end_a_string() {
        let code = code_only(r#"let a = "x\"tokio"; let b = '\''; engine()"#);
        assert!(!code.contains("tokio") && code.contains("engine()"), "{code}");
    }

    #[test]
    fn test_modules_become_empty_lines() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    use tokio;\n}\nfn b() {}\n";
        let code = without_tests(text);
        assert!(!code.contains("tokio") && code.contains("fn b"), "{code}");
        assert_eq!(code.lines().count(), text.lines().count());
    }
}
