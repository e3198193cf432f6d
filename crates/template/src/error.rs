//! Why a template gives no document.

/// One failed step from template text to document.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is no Go template.
    #[error("template {template}, line {line}, column {column}: {message}")]
    Syntax {
        /// Name of the Template.
        template: String,
        /// Line in the template, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// Executing the template failed.
    #[error("template {template}{}: {message}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Execute {
        /// Name of the Template.
        template: String,
        /// Line in the template where the thing that failed is first named, when it can be told.
        line: Option<usize>,
        /// What is wrong and what to do.
        message: String,
    },
    /// Template or output is too long.
    #[error("template {template}: its {what} is longer than {limit} bytes")]
    TooLong {
        /// Name of the Template.
        template: String,
        /// Which text.
        what: &'static str,
        /// Limit in bytes.
        limit: usize,
    },
    /// The rendered text is no workflow document.
    #[error("template {template}, rendered line {line}, column {column}: {message}")]
    Yaml {
        /// Name of the Template.
        template: String,
        /// Line in the rendered text, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// What is wrong.
        message: String,
    },
    /// Fields of the document are wrong; all of them at once.
    #[error("template {template}: {}", problems.join("; "))]
    Document {
        /// Name of the Template.
        template: String,
        /// One `rendered line L: field: what` for each.
        problems: Vec<String>,
    },
    /// The data of a Hardware cannot be given to a template.
    #[error("hardware {hardware} cannot be given to a template: {message}")]
    Data {
        /// Name of the Hardware.
        hardware: String,
        /// What is wrong.
        message: String,
    },
}
