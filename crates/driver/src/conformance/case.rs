//! One case.

use std::pin::Pin;

use super::subject::Subject;
use super::verdict::Checked;

/// What a case runs.
pub(super) type Run = for<'a> fn(&'a Subject) -> Pin<Box<dyn Future<Output = Checked> + Send + 'a>>;

/// One case.
#[derive(Clone, Copy)]
pub(super) struct Case {
    /// Letter of its group and number.
    pub(super) id: &'static str,
    /// What the driver has to do.
    pub(super) title: &'static str,
    pub(super) run: Run,
}

/// A case of a function `async fn(&Subject) -> Checked`.
macro_rules! case {
    ($id:literal, $title:literal, $run:path) => {
        $crate::conformance::case::Case {
            id: $id,
            title: $title,
            run: |subject| Box::pin($run(subject)),
        }
    };
}
pub(super) use case;
