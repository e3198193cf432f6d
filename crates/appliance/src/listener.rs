//! A place where the appliance answers.

/// A place where the appliance answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// What answers there.
    pub what: &'static str,
    /// Where, for people.
    pub place: String,
}
