//! Regular expressions, in RE2's syntax as in Go.

use gotmpl::{TemplateError, Value};
use regex::{NoExpand, Regex, RegexBuilder};

use crate::args::{Outcome, fail, int, list, string, text};
use crate::function::{Function, entry};

/// Bytes that a compiled expression may take.
const SIZE_LIMIT: usize = 1024 * 1024;

pub(crate) const TABLE: &[Function] = &[
    entry(
        "regexMatch",
        is_match,
        r#"{{ regexMatch "^nvme" "nvme0n1" }}"#,
        "true",
    ),
    entry(
        "mustRegexMatch",
        is_match,
        r#"{{ mustRegexMatch "^sd" "nvme0n1" }}"#,
        "false",
    ),
    entry("regexFind", find, r#"{{ regexFind "[0-9]+" "eth12" }}"#, "12"),
    entry(
        "mustRegexFind",
        find,
        r#"{{ mustRegexFind "[0-9]+" "eth12" }}"#,
        "12",
    ),
    entry(
        "regexFindAll",
        find_all,
        r#"{{ regexFindAll "[0-9]" "a1b2c3" 2 }}"#,
        "[1 2]",
    ),
    entry(
        "mustRegexFindAll",
        find_all,
        r#"{{ mustRegexFindAll "[0-9]" "a1b2c3" -1 }}"#,
        "[1 2 3]",
    ),
    entry(
        "regexReplaceAll",
        replace,
        r#"{{ regexReplaceAll "a(x*)b" "-ab-axxb-" "${1}W" }}"#,
        "-W-xxW-",
    ),
    entry(
        "mustRegexReplaceAll",
        replace,
        r#"{{ mustRegexReplaceAll "b" "abc" "-" }}"#,
        "a-c",
    ),
    entry(
        "regexReplaceAllLiteral",
        literal,
        r#"{{ regexReplaceAllLiteral "b" "abc" "${1}" }}"#,
        "a${1}c",
    ),
    entry(
        "mustRegexReplaceAllLiteral",
        literal,
        r#"{{ mustRegexReplaceAllLiteral "b" "abc" "$" }}"#,
        "a$c",
    ),
    entry(
        "regexSplit",
        split,
        r#"{{ regexSplit "z+" "pizza" -1 }}"#,
        "[pi a]",
    ),
    entry(
        "mustRegexSplit",
        split,
        r#"{{ mustRegexSplit "," "a,b,c" 2 }}"#,
        "[a b,c]",
    ),
    entry(
        "regexQuoteMeta",
        |a| Ok(text(regex::escape(&string(a, 0)?))),
        r#"{{ regexQuoteMeta "1.2" }}"#,
        r"1\.2",
    ),
];

fn expression(args: &[Value]) -> Result<Regex, TemplateError> {
    let source = string(args, 0)?;
    match RegexBuilder::new(&source).size_limit(SIZE_LIMIT).build() {
        Ok(regex) => Ok(regex),
        Err(_) => fail(format!("{source:?} is no regular expression")),
    }
}

/// A count as Go has it: negative means all.
fn limit(args: &[Value]) -> Result<usize, TemplateError> {
    Ok(usize::try_from(int(args, 2)?).unwrap_or(usize::MAX))
}

fn is_match(args: &[Value]) -> Outcome {
    Ok(Value::Bool(expression(args)?.is_match(&string(args, 1)?)))
}

fn find(args: &[Value]) -> Outcome {
    let whole = string(args, 1)?;
    Ok(text(
        expression(args)?.find(&whole).map_or("", |found| found.as_str()),
    ))
}

fn find_all(args: &[Value]) -> Outcome {
    let whole = string(args, 1)?;
    let found = expression(args)?;
    Ok(list(
        found
            .find_iter(&whole)
            .take(limit(args)?)
            .map(|part| text(part.as_str())),
    ))
}

fn replace(args: &[Value]) -> Outcome {
    Ok(text(
        expression(args)?.replace_all(&string(args, 1)?, string(args, 2)?.as_str()),
    ))
}

fn literal(args: &[Value]) -> Outcome {
    Ok(text(
        expression(args)?.replace_all(&string(args, 1)?, NoExpand(&string(args, 2)?)),
    ))
}

fn split(args: &[Value]) -> Outcome {
    let whole = string(args, 1)?;
    Ok(list(expression(args)?.splitn(&whole, limit(args)?).map(text)))
}
