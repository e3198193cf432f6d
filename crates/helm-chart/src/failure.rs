//! Why a function of a template gives nothing.

use crate::engine::Fault;

#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// What is wrong with its arguments.
    Message(String),
    /// An error in a template that it executed.
    Inner(Fault),
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Message(message)
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        Self::Message(message.to_owned())
    }
}
