//! An error with its place.

use crate::error::Error;

/// What is wrong where.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) template: String,
    pub(crate) line: usize,
    pub(crate) message: String,
    /// `include` and `tpl` through which the place was reached, the innermost first.
    pub(crate) through: Vec<String>,
}

/// The most places that a message names.
const PLACES: usize = 4;

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let mut message = fault.message;
        if !fault.through.is_empty() {
            let places: Vec<&str> = fault.through.iter().take(PLACES).map(String::as_str).collect();
            message = format!("{message} (reached from {})", places.join(", from "));
        }
        Self::Template {
            template: fault.template,
            line: fault.line,
            message,
        }
    }
}
