//! Text.

use gotmpl::Value;

use crate::args::{Outcome, arg, count, fail, int, items, list, map, piped, string, string_of, text};
use crate::function::{Function, entry};

pub(crate) const TABLE: &[Function] = &[
    entry(
        "trim",
        |a| Ok(text(string(a, 0)?.trim())),
        r#"{{ trim "  a " }}"#,
        "a",
    ),
    entry("trimAll", trim_all, r#"{{ trimAll "$" "$5$" }}"#, "5"),
    entry("trimSuffix", trim_suffix, r#"{{ trimSuffix "-" "a-" }}"#, "a"),
    entry("trimPrefix", trim_prefix, r#"{{ trimPrefix "-" "-a" }}"#, "a"),
    entry(
        "upper",
        |a| Ok(text(string(a, 0)?.to_uppercase())),
        r#"{{ upper "ab" }}"#,
        "AB",
    ),
    entry(
        "lower",
        |a| Ok(text(string(a, 0)?.to_lowercase())),
        r#"{{ lower "AB" }}"#,
        "ab",
    ),
    entry(
        "title",
        title,
        r#"{{ title "hello big world" }}"#,
        "Hello Big World",
    ),
    entry("untitle", untitle, r#"{{ untitle "Hello Big" }}"#, "hello big"),
    entry("repeat", repeat, r#"{{ repeat 3 "ab" }}"#, "ababab"),
    entry("substr", substr, r#"{{ substr 0 5 "hello world" }}"#, "hello"),
    entry(
        "trunc",
        trunc,
        r#"{{ trunc 5 "hello world" }}|{{ trunc -5 "hello world" }}"#,
        "hello|world",
    ),
    entry("abbrev", abbrev, r#"{{ abbrev 8 "hello world" }}"#, "hello..."),
    entry("nospace", nospace, r#"{{ nospace " a b c " }}"#, "abc"),
    entry("initials", initials, r#"{{ initials "First Try" }}"#, "FT"),
    entry("swapcase", swapcase, r#"{{ swapcase "aB" }}"#, "Ab"),
    entry(
        "snakecase",
        |a| Ok(text(words(&string(a, 0)?).join("_"))),
        r#"{{ snakecase "FirstName" }}"#,
        "first_name",
    ),
    entry(
        "kebabcase",
        |a| Ok(text(words(&string(a, 0)?).join("-"))),
        r#"{{ kebabcase "FirstName" }}"#,
        "first-name",
    ),
    entry(
        "camelcase",
        camelcase,
        r#"{{ camelcase "http_server" }}"#,
        "HttpServer",
    ),
    entry(
        "contains",
        |a| Ok(Value::Bool(string(a, 1)?.contains(&string(a, 0)?))),
        r#"{{ contains "a" "cat" }}"#,
        "true",
    ),
    entry("hasPrefix", has_prefix, r#"{{ hasPrefix "c" "cat" }}"#, "true"),
    entry("hasSuffix", has_suffix, r#"{{ hasSuffix "c" "cat" }}"#, "false"),
    entry("quote", quote, r#"{{ quote "a\"b" 1 }}"#, r#""a\"b" "1""#),
    entry("squote", squote, r#"{{ squote "a" 1 }}"#, "'a' '1'"),
    entry("cat", cat, r#"{{ cat "a" 1 "b" }}"#, "a 1 b"),
    entry(
        "indent",
        |a| Ok(text(indented(count(a, 0)?, &string(a, 1)?))),
        "{{ indent 2 \"a\\nb\" }}",
        "  a\n  b",
    ),
    entry("nindent", nindent, "x:{{ nindent 2 \"a\\nb\" }}", "x:\n  a\n  b"),
    entry("replace", replace, r#"{{ replace " " "-" "a b" }}"#, "a-b"),
    entry("plural", plural, r#"{{ plural "disk" "disks" 2 }}"#, "disks"),
    entry(
        "toString",
        |a| Ok(text(string(a, 0)?)),
        r#"{{ toString 12 }}"#,
        "12",
    ),
    entry(
        "toStrings",
        to_strings,
        r#"{{ toStrings (list 1 2) | join "," }}"#,
        "1,2",
    ),
    entry("join", join, r#"{{ list "a" "b" | join "-" }}"#, "a-b"),
    entry(
        "splitList",
        split_list,
        r#"{{ splitList "," "a,b" | last }}"#,
        "b",
    ),
    entry("split", split, r#"{{ (split "," "a,b")._1 }}"#, "b"),
    entry("splitn", splitn, r#"{{ (splitn "," 2 "a,b,c")._1 }}"#, "b,c"),
    entry(
        "sortAlpha",
        sort_alpha,
        r#"{{ list "b" "a" | sortAlpha | join "" }}"#,
        "ab",
    ),
    entry("wrap", wrap, "{{ wrap 5 \"aa bb cc\" }}", "aa bb\ncc"),
];

fn trim_all(args: &[Value]) -> Outcome {
    let cut = string(args, 0)?;
    Ok(text(string(args, 1)?.trim_matches(|c| cut.contains(c))))
}

fn trim_suffix(args: &[Value]) -> Outcome {
    let (end, whole) = (string(args, 0)?, string(args, 1)?);
    Ok(text(whole.strip_suffix(end.as_str()).unwrap_or(&whole)))
}

fn trim_prefix(args: &[Value]) -> Outcome {
    let (start, whole) = (string(args, 0)?, string(args, 1)?);
    Ok(text(whole.strip_prefix(start.as_str()).unwrap_or(&whole)))
}

fn has_prefix(args: &[Value]) -> Outcome {
    Ok(Value::Bool(string(args, 1)?.starts_with(&string(args, 0)?)))
}

fn has_suffix(args: &[Value]) -> Outcome {
    Ok(Value::Bool(string(args, 1)?.ends_with(&string(args, 0)?)))
}

/// Changes the first letter of each word.
fn first_letters(whole: &str, change: fn(char) -> String) -> String {
    let mut out = String::with_capacity(whole.len());
    let mut at_start = true;
    for c in whole.chars() {
        if at_start && c.is_alphabetic() {
            out.push_str(&change(c))
        } else {
            out.push(c)
        }
        at_start = c.is_whitespace();
    }
    out
}

fn title(args: &[Value]) -> Outcome {
    Ok(text(first_letters(&string(args, 0)?, |c| {
        c.to_uppercase().to_string()
    })))
}

fn untitle(args: &[Value]) -> Outcome {
    Ok(text(first_letters(&string(args, 0)?, |c| {
        c.to_lowercase().to_string()
    })))
}

fn repeat(args: &[Value]) -> Outcome {
    let (times, part) = (count(args, 0)?, string(args, 1)?);
    if times.saturating_mul(part.len()) > 1_000_000 {
        return fail("repeat gives more than 1000000 octets");
    }
    Ok(text(part.repeat(times)))
}

fn substr(args: &[Value]) -> Outcome {
    let (start, end, whole) = (int(args, 0)?, int(args, 1)?, string(args, 2)?);
    let length = whole.chars().count();
    let start = usize::try_from(start).unwrap_or(0).min(length);
    let end = usize::try_from(end).unwrap_or(length).clamp(start, length);
    Ok(text(
        whole.chars().skip(start).take(end - start).collect::<String>(),
    ))
}

fn trunc(args: &[Value]) -> Outcome {
    let (keep, whole) = (int(args, 0)?, string(args, 1)?);
    let size = usize::try_from(keep.unsigned_abs()).unwrap_or(usize::MAX);
    let length = whole.chars().count();
    let skip = if keep < 0 { length.saturating_sub(size) } else { 0 };
    Ok(text(whole.chars().skip(skip).take(size).collect::<String>()))
}

fn abbrev(args: &[Value]) -> Outcome {
    let (width, whole) = (count(args, 0)?, string(args, 1)?);
    if width < 4 || whole.chars().count() <= width {
        return Ok(text(whole));
    }
    Ok(text(format!(
        "{}...",
        whole.chars().take(width - 3).collect::<String>()
    )))
}

fn nospace(args: &[Value]) -> Outcome {
    Ok(text(
        string(args, 0)?
            .chars()
            .filter(|c| !c.is_whitespace())
            .collect::<String>(),
    ))
}

fn initials(args: &[Value]) -> Outcome {
    let whole = string(args, 0)?;
    Ok(text(
        whole
            .split_whitespace()
            .filter_map(|word| word.chars().next())
            .collect::<String>(),
    ))
}

fn swapcase(args: &[Value]) -> Outcome {
    let swap = |c: char| {
        if c.is_uppercase() {
            c.to_lowercase().to_string()
        } else {
            c.to_uppercase().to_string()
        }
    };
    Ok(text(string(args, 0)?.chars().map(swap).collect::<String>()))
}

/// Lower-case words of a name in any case style.
fn words(name: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut fresh = true;
    let mut before_is_lower = false;
    for c in name.chars() {
        if c.is_whitespace() || c == '_' || c == '-' {
            fresh = true;
            continue;
        }
        if fresh || (c.is_uppercase() && before_is_lower) {
            found.push(String::new());
        }
        fresh = false;
        before_is_lower = !c.is_uppercase();
        if let Some(word) = found.last_mut() {
            word.extend(c.to_lowercase());
        }
    }
    found
}

fn camelcase(args: &[Value]) -> Outcome {
    let words = words(&string(args, 0)?);
    Ok(text(
        words
            .iter()
            .map(|word| first_letters(word, |c| c.to_uppercase().to_string()))
            .collect::<String>(),
    ))
}

fn present(args: &[Value]) -> impl Iterator<Item = String> {
    args.iter()
        .filter(|value| !matches!(value, Value::Nil))
        .map(string_of)
}

fn quote(args: &[Value]) -> Outcome {
    // Go's %q and JSON agree on everything that appears in templates.
    let quoted: Vec<String> = present(args)
        .map(|part| serde_json::Value::from(part).to_string())
        .collect();
    Ok(text(quoted.join(" ")))
}

fn squote(args: &[Value]) -> Outcome {
    Ok(text(
        present(args)
            .map(|part| format!("'{part}'"))
            .collect::<Vec<_>>()
            .join(" "),
    ))
}

fn cat(args: &[Value]) -> Outcome {
    Ok(text(present(args).collect::<Vec<_>>().join(" ")))
}

fn indented(width: usize, whole: &str) -> String {
    let pad = " ".repeat(width.min(1000));
    format!("{pad}{}", whole.replace('\n', &format!("\n{pad}")))
}

fn nindent(args: &[Value]) -> Outcome {
    Ok(text(format!(
        "\n{}",
        indented(count(args, 0)?, &string(args, 1)?)
    )))
}

fn replace(args: &[Value]) -> Outcome {
    Ok(text(
        string(args, 2)?.replace(&string(args, 0)?, &string(args, 1)?),
    ))
}

fn plural(args: &[Value]) -> Outcome {
    let one = int(args, 2)? == 1;
    Ok(text(string(args, usize::from(!one))?))
}

fn to_strings(args: &[Value]) -> Outcome {
    Ok(list(items(args, 0)?.iter().map(|item| text(string_of(item)))))
}

fn join(args: &[Value]) -> Outcome {
    let separator = string(args, 0)?;
    let parts: Vec<String> = match arg(args, 1)? {
        Value::List(items) => items.iter().map(string_of).collect(),
        other => vec![string_of(other)],
    };
    Ok(text(parts.join(&separator)))
}

fn split_list(args: &[Value]) -> Outcome {
    let separator = string(args, 0)?;
    Ok(list(string(args, 1)?.split(separator.as_str()).map(text)))
}

fn numbered<'a>(parts: impl Iterator<Item = &'a str>) -> Value {
    map(parts
        .enumerate()
        .map(|(at, part)| (format!("_{at}").into(), text(part))))
}

fn split(args: &[Value]) -> Outcome {
    let separator = string(args, 0)?;
    Ok(numbered(string(args, 1)?.split(separator.as_str())))
}

fn splitn(args: &[Value]) -> Outcome {
    let (separator, parts) = (string(args, 0)?, count(args, 1)?);
    Ok(numbered(string(args, 2)?.splitn(parts, separator.as_str())))
}

fn sort_alpha(args: &[Value]) -> Outcome {
    let mut sorted: Vec<String> = items(args, 0)?.iter().map(string_of).collect();
    sorted.sort();
    Ok(list(sorted.iter().map(text)))
}

fn wrap(args: &[Value]) -> Outcome {
    let (whole, width) = (piped(args)?.0, count(args, 0)?);
    let mut lines: Vec<String> = Vec::new();
    for word in string_of(whole).split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    Ok(text(lines.join("\n")))
}
