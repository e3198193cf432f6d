//! Paths, by the rules of Go's `path` package: slashes only, no file system.

use gotmpl::Value;

use crate::args::{Outcome, string, text};
use crate::function::{Function, entry};

pub(crate) const TABLE: &[Function] = &[
    entry("base", base, r#"{{ base "a/b.txt" }}"#, "b.txt"),
    entry("osBase", base, r#"{{ osBase "/a/b/" }}"#, "b"),
    entry("dir", dir, r#"{{ dir "a/b.txt" }}"#, "a"),
    entry("osDir", dir, r#"{{ osDir "/a" }}"#, "/"),
    entry("ext", ext, r#"{{ ext "a/b.tar.gz" }}"#, ".gz"),
    entry("osExt", ext, r#"{{ osExt "a.b/c" }}"#, ""),
    entry(
        "clean",
        |a| Ok(text(cleaned(&string(a, 0)?))),
        r#"{{ clean "/a//b/../c/." }}"#,
        "/a/c",
    ),
    entry(
        "osClean",
        |a| Ok(text(cleaned(&string(a, 0)?))),
        r#"{{ osClean "../a/.." }}"#,
        "..",
    ),
    entry(
        "isAbs",
        |a| Ok(Value::Bool(string(a, 0)?.starts_with('/'))),
        r#"{{ isAbs "/a" }}"#,
        "true",
    ),
    entry(
        "osIsAbs",
        |a| Ok(Value::Bool(string(a, 0)?.starts_with('/'))),
        r#"{{ osIsAbs "a" }}"#,
        "false",
    ),
];

fn base(args: &[Value]) -> Outcome {
    let path = string(args, 0)?;
    let trimmed = path.trim_end_matches('/');
    Ok(text(match (path.is_empty(), trimmed.is_empty()) {
        (true, _) => ".",
        (false, true) => "/",
        _ => trimmed.rsplit('/').next().unwrap_or(trimmed),
    }))
}

fn dir(args: &[Value]) -> Outcome {
    let path = string(args, 0)?;
    let end = path.rfind('/').map_or(0, |at| at + 1);
    Ok(text(cleaned(path.get(..end).unwrap_or_default())))
}

fn ext(args: &[Value]) -> Outcome {
    let path = string(args, 0)?;
    let last = path.rsplit('/').next().unwrap_or_default();
    Ok(text(
        last.rfind('.').and_then(|at| last.get(at..)).unwrap_or_default(),
    ))
}

fn cleaned(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if kept.last().is_some_and(|last| *last != "..") => {
                kept.pop();
            }
            ".." if rooted => {}
            other => kept.push(other),
        }
    }
    match (rooted, kept.is_empty()) {
        (true, _) => format!("/{}", kept.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => kept.join("/"),
    }
}
