//! Executing a template under limits (reliability reference §4.3).

use std::fmt;

use gotmpl::{FuncMap, MissingKey, Template, TemplateError, Value};

use crate::{Error, functions};

const SOURCE_LIMIT: usize = 256 * 1024;
const OUTPUT_LIMIT: usize = 1024 * 1024;
const RANGE_LIMIT: u64 = 100_000;
/// What Go prints for a value that is not there. In a workflow it is always a mistake.
const NO_VALUE: &str = "<no value>";

/// Renders the text of Template `name`.
pub fn render(name: &str, text: &str, data: &Value) -> Result<String, Error> {
    let too_long = |what, limit| Error::TooLong {
        template: name.to_owned(),
        what,
        limit,
    };
    if text.len() > SOURCE_LIMIT {
        return Err(too_long("text", SOURCE_LIMIT));
    }
    let table: FuncMap = functions::functions()
        .map(|f| (f.name.to_owned(), std::sync::Arc::new(f.call) as _))
        .collect();
    let template = Template::new(name)
        .missing_key(MissingKey::Error)
        .max_range_iters(RANGE_LIMIT)
        .funcs(table)
        .parse(text)
        .map_err(|error| explain(name, text, error))?;
    let mut output = Limited {
        text: String::new(),
        full: false,
    };
    if let Err(error) = template.execute_fmt(&mut output, data) {
        let full = output.full;
        return Err(if full {
            too_long("output", OUTPUT_LIMIT)
        } else {
            explain(name, text, error)
        });
    }
    let output = output.text;
    if output.matches(NO_VALUE).count() > text.matches(NO_VALUE).count() {
        let before = output.split(NO_VALUE).next().unwrap_or_default();
        let line = before.lines().count().max(1);
        return Err(Error::Execute {
            template: name.to_owned(),
            line: None,
            message: format!(
                "rendered line {line} has a value that is not there ({NO_VALUE}); use `default`"
            ),
        });
    }
    Ok(output)
}

/// Text that does not grow beyond the limit.
struct Limited {
    text: String,
    full: bool,
}

impl fmt::Write for Limited {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if self.text.len().saturating_add(part.len()) > OUTPUT_LIMIT {
            self.full = true;
            return Err(fmt::Error);
        }
        self.text.push_str(part);
        Ok(())
    }
}

fn explain(name: &str, text: &str, error: TemplateError) -> Error {
    let template = name.to_owned();
    match error {
        TemplateError::Parse {
            line, col, message, ..
        }
        | TemplateError::Lex {
            line, col, message, ..
        } => Error::Syntax {
            template,
            line,
            column: col,
            message,
        },
        TemplateError::MissingKey { key } => Error::Execute {
            template,
            line: line_of(text, &format!(".{key}")),
            message: format!(
                "there is no .{key}; top-level names come from hardwareMap of the Workflow, others from .hardware and \
                 .Hardware"
            ),
        },
        TemplateError::UndefinedFunction(function) => Error::Execute {
            template,
            line: line_of(text, &function),
            message: format!(
                "function {function:?} is not supported; only functions whose result is repeatable are"
            ),
        },
        TemplateError::UndefinedVariable(variable) => Error::Execute {
            template,
            line: line_of(text, &variable),
            message: format!("variable {variable:?} is not set here"),
        },
        other => Error::Execute {
            template,
            line: None,
            message: other.to_string(),
        },
    }
}

/// The first line inside `{{ }}` or not that names `what`. The engine tells no position for errors of execution.
fn line_of(text: &str, what: &str) -> Option<usize> {
    text.lines()
        .position(|line| line.contains("{{") && line.contains(what))
        .map(|at| at + 1)
}
