//! What is wrong with a file, with the place in it.

use std::fmt;

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Characters that the place covers on its line; at least 1.
    pub width: usize,
    /// Object and field, when known.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub next_step: String,
}

/// All problems of one file, in the order of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// Name of the file.
    pub file: String,
    /// Text of the file, for excerpts.
    pub text: String,
    /// The problems; never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        write!(
            f,
            "{}: {count} {}",
            self.file,
            if count == 1 { "error" } else { "errors" }
        )?;
        for problem in &self.problems {
            self.write(f, problem)?;
        }
        Ok(())
    }
}

impl Problems {
    fn write(&self, f: &mut fmt::Formatter<'_>, problem: &Problem) -> fmt::Result {
        let Problem {
            line,
            column,
            width,
            place,
            message,
            next_step,
        } = problem;
        write!(f, "\n\n{}:{line}:{column}: ", self.file)?;
        if !place.is_empty() {
            write!(f, "{place}: ")?;
        }
        write!(f, "{message}")?;
        if let Some(text) = line.checked_sub(1).and_then(|at| self.text.lines().nth(at)) {
            // Tabs are shown as one space, so that the marks stand under what they mark.
            let text = text.replace('\t', " ");
            let width = (*width).clamp(1, text.chars().count().saturating_sub(column - 1).max(1));
            write!(
                f,
                "\n  {line:>5} | {text}\n        | {}{}",
                " ".repeat(column - 1),
                "^".repeat(width)
            )?;
        }
        write!(f, "\n        = {next_step}")
    }
}

impl std::error::Error for Problems {}
