//! One function that templates may call.

use gotmpl::{TemplateError, Value};

/// One function.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// Name in templates.
    pub name: &'static str,
    /// What it does.
    pub call: fn(&[Value]) -> Result<Value, TemplateError>,
    /// A template that uses it.
    pub example: &'static str,
    /// What the example renders to.
    pub gives: &'static str,
}

/// An entry of a table.
#[must_use]
pub const fn entry(
    name: &'static str,
    call: fn(&[Value]) -> Result<Value, TemplateError>,
    example: &'static str,
    gives: &'static str,
) -> Function {
    Function {
        name,
        call,
        example,
        gives,
    }
}
