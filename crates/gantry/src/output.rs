//! All output: results on standard output, everything about the way there on standard error.
#![allow(clippy::print_stdout, reason = "the one module that prints")]

use std::io::{IsTerminal, Write};
use std::path::Path;

use crate::failure::{Failure, Outcome};

/// A line of the result.
pub(crate) fn line(text: impl AsRef<str>) {
    write(text.as_ref(), true);
}

/// Text of the result that brings its own line ends.
pub(crate) fn text(text: &str) {
    write(text, false);
}

/// Asks on standard error; everything but a yes is a no. It blocks until there is an answer.
pub(crate) fn confirmed(question: &str) -> bool {
    let mut out = std::io::stderr();
    let _ = write!(out, "{question}");
    let _ = out.flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// Asks the person who runs the command, for want of `--yes`, before something that can't be taken back is done to
/// `name`; `verb` says what.
pub(crate) fn agreed(verb: &str, name: &str, question: &str) -> Outcome {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::text(format!(
            "nobody can be asked here, so nothing was changed: run the command with --yes to {verb} {name}"
        )));
    }
    match confirmed(question) {
        true => Ok(()),
        false => Err(Failure::text(format!("{name}: nothing was changed"))),
    }
}

/// A remark.
pub(crate) fn note(text: impl AsRef<str>) {
    eprintln!("{}", text.as_ref());
}

/// An error.
pub(crate) fn error(text: &str) {
    let mark = if std::io::stderr().is_terminal() {
        "\x1b[1;31merror:\x1b[0m"
    } else {
        "error:"
    };
    eprintln!("{mark} {text}");
}

/// Whether a person watches standard error.
pub(crate) fn interactive() -> bool {
    std::io::stderr().is_terminal()
}

fn write(text: &str, end: bool) {
    let mut out = std::io::stdout().lock();
    let written = if end {
        writeln!(out, "{text}")
    } else {
        write!(out, "{text}")
    };
    // `gantry get | head`: whoever closes the pipe has seen enough.
    if written.and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Writes a file that only its owner may read; it appears complete or not at all.
pub(crate) fn private_file(path: &Path, content: &[u8]) -> Outcome {
    pki::write_private(path, content)
        .map_err(|error| Failure::text(format!("write {}: {error}", path.display())))
}

/// Columns, aligned, without borders.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_content_arrangement(comfy_table::ContentArrangement::Disabled);
    table.set_header(header.to_vec());
    for row in rows {
        table.add_row(row.clone());
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_blanks_at_their_end() {
        let rows = [
            vec!["node-1".to_owned(), "on".to_owned()],
            vec!["a".to_owned(), "off".to_owned()],
        ];
        assert_eq!(
            table(&["NAME", "POWER"], &rows),
            "NAME    POWER\nnode-1  on\na       off\n"
        );
    }
}
