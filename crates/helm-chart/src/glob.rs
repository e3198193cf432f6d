//! Patterns of `.Files.Glob`: `*` and `?` stay inside a folder, `**` goes through folders, `[...]` and `{a,b}` choose.

use regex::Regex;

/// Whether a path fits a pattern.
pub(crate) fn matches(pattern: &str, path: &str) -> Result<bool, String> {
    let expression = expression(pattern);
    let pattern_of = Regex::new(&expression).map_err(|_| format!("{pattern:?} is no pattern of files"))?;
    Ok(pattern_of.is_match(path))
}

fn expression(pattern: &str) -> String {
    let mut found = String::from("^");
    let mut signs = pattern.chars().peekable();
    let (mut choices, mut class) = (0_usize, false);
    while let Some(sign) = signs.next() {
        match sign {
            '*' if signs.next_if_eq(&'*').is_some() => found.push_str(".*"),
            '*' => found.push_str("[^/]*"),
            '?' => found.push_str("[^/]"),
            '\\' => found.extend(signs.next().map(|next| regex::escape(&next.to_string()))),
            '{' => {
                choices += 1;
                found.push_str("(?:");
            }
            ',' if choices > 0 => found.push('|'),
            '}' if choices > 0 => {
                choices -= 1;
                found.push(')');
            }
            '[' => {
                class = true;
                found.push('[');
                found.extend(signs.next_if_eq(&'!').map(|_| '^'));
            }
            ']' => {
                class = false;
                found.push(']');
            }
            '-' if class => found.push('-'),
            other => found.push_str(&regex::escape(&other.to_string())),
        }
    }
    found.push('$');
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_in_its_folder() {
        for (pattern, path, fits) in [
            ("files/*.json", "files/a.json", true),
            ("files/*.json", "files/b/a.json", false),
            ("files/**.json", "files/b/a.json", true),
            ("files/?.json", "files/a.json", true),
            ("files/{a,b}.json", "files/b.json", true),
            ("files/{a,b}.json", "files/c.json", false),
            ("files/[!a].json", "files/a.json", false),
            ("files/[a-c].json", "files/b.json", true),
            ("a.b", "axb", false),
        ] {
            assert_eq!(matches(pattern, path), Ok(fits), "{pattern} {path}");
        }
        assert!(matches("[", "a").is_err());
    }
}
